"""Where each setting of a study comes from: the command line, over the environment, over a TOML file, over the default.

The file is ``--config FILE``, else ``isobatch.toml``, else the table ``[tool.isobatch]`` of ``pyproject.toml``. A key
is a flag of the study without its dashes (``batch-sizes = [2, 4]``, ``quick = true``); a variable is ``ISOBATCH_`` and
the flag in capitals (``ISOBATCH_BATCH_SIZES=2,4``). Values are read as the command line reads them.
"""

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobatch.models.spec.nearest import did_you_mean, nearest
from isobatch.pipeline.records.errors import UsageError

FILE_NAME = "isobatch.toml"
PROJECT_FILE = "pyproject.toml"
PREFIX = "ISOBATCH_"
COMMAND_LINE, DEFAULT = "command line", "default"
MAX_BYTES = 1_000_000
_NO_SETTINGS = ("help", "version", "list_variants", "config", "show_config")
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_UNSET = object()


@dataclass(frozen=True)
class UserSetting:
    """One setting: its flag, its value as the command line would give it, and where that comes from."""

    flag: str
    value: Any
    origin: str


@dataclass(frozen=True)
class UserSettings:
    """The study's arguments, and every setting in the order of ``--help``."""

    arguments: argparse.Namespace
    every: tuple[UserSetting, ...]

    @contextmanager
    def naming_origins(self) -> Iterator[None]:
        """Within it, a UsageError says what is set by other means than the command line."""
        try:
            yield
        except UsageError as error:
            if not (elsewhere := self.announcement()):
                raise
            raise UsageError(error.code, f"{error} ({elsewhere})") from error

    def announcement(self) -> str | None:
        """One line on what is set by other means than the command line; None where nothing is."""
        flags_of: dict[str, list[str]] = {}
        for setting in self.every:
            if setting.origin not in (COMMAND_LINE, DEFAULT):
                flags_of.setdefault(setting.origin, []).append(setting.flag)
        return "; ".join(f"{origin} sets {', '.join(flags)}" for origin, flags in flags_of.items()) or None


def read_settings(parser: argparse.ArgumentParser, argv: list[str], environment: Mapping[str, str]) -> UserSettings:
    """The arguments from every source. Raises UsageError for an unknown key or a value that its flag cannot take."""
    actions = {key: action for action in parser._actions if (key := _key(action))}
    unset = argparse.Namespace(**{action.dest: _UNSET for action in actions.values()})
    typed = parser.parse_args(argv, unset)
    if typed.list_variants:
        return UserSettings(parser.parse_args(argv), ())
    stated = _from_file(parser, actions, typed.config, environment)
    for key, value in _from_environment(actions, environment).items():
        name = _variable(key)
        stated[key] = name, _tokens(parser, actions[key], value, name)
    arguments = parser.parse_args([*(token for _, tokens in stated.values() for token in tokens), *argv])
    every = []
    for key, action in actions.items():
        given = getattr(typed, action.dest) is not _UNSET
        origin = COMMAND_LINE if given else stated[key][0] if key in stated else DEFAULT
        every.append(UserSetting(f"--{key}", getattr(arguments, action.dest), origin))
    return UserSettings(arguments, tuple(every))


def read_toml(path: Path, code: str) -> dict[str, Any]:
    """The table in a TOML file of at most a megabyte. Raises UsageError with this code: which file, why, what to do."""
    try:
        if not path.is_file():
            raise UsageError(code, f"no file {path}: give a TOML file")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(code, f"{path} is larger than {MAX_BYTES:,} bytes: that is no file of settings")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors mark UTF-8
    except OSError as error:
        raise UsageError(code, f"cannot read {path}: {error.strerror or error}. Give a readable TOML file") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(code, f"{path} is not TOML: {error or 'nested too deeply'}") from error


def _key(action: argparse.Action) -> str | None:
    """The setting's name: its flag without the dashes."""
    long = [text for text in action.option_strings if text.startswith("--")]
    return long[0][2:] if long and action.dest not in _NO_SETTINGS else None


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace("-", "_")


def _from_file(
    parser: argparse.ArgumentParser,
    actions: Mapping[str, argparse.Action],
    typed: str | None,
    environment: Mapping[str, str],
) -> dict[str, tuple[str, list[str]]]:
    """Of each key in the file: the file's name and the tokens a command line would have. An empty name: no file."""
    asked = typed if typed is not None else environment.get(f"{PREFIX}CONFIG")
    if asked == "":
        return {}
    path, table = _table(asked)
    stated = {}
    for key, value in table.items():
        if key not in actions:
            raise UsageError("unknown-setting", f"{path}: no setting {key!r}: {did_you_mean(key, actions)}")
        stated[key] = str(path), _tokens(parser, actions[key], value, str(path))
    return stated


def _table(asked: str | None) -> tuple[Path, dict[str, Any]]:
    """The file that holds the settings, and what it says; an empty table where no file does."""
    path = Path(FILE_NAME if asked is None else asked)
    if asked is not None or path.exists():
        return path, read_toml(path, "settings")
    project = Path(PROJECT_FILE)
    if not project.is_file():
        return path, {}
    table = read_toml(project, "settings").get("tool", {})
    ours = table.get("isobatch", {}) if isinstance(table, dict) else {}
    if not isinstance(ours, dict):
        raise UsageError("settings", f"{project}: tool.isobatch is {ours!r}: make it a table, [tool.isobatch]")
    return project, ours


def _from_environment(actions: Mapping[str, argparse.Action], environment: Mapping[str, str]) -> dict[str, Any]:
    """The value of each key that a variable sets."""
    known = {_variable(key): key for key in actions}
    values: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name == f"{PREFIX}CONFIG":
            continue
        if name not in known:
            near = nearest(name, known)
            raise UsageError("unknown-setting", f"no setting for the variable {name}: did you mean {near}? Or unset it")
        key, value = known[name], environment[name]
        values[key] = _SWITCH.get(value.lower(), value) if actions[key].nargs == 0 else value
    return values


def _tokens(parser: argparse.ArgumentParser, action: argparse.Action, value: Any, origin: str) -> list[str]:
    """The value as a command line has it. Raises UsageError, naming the origin, where the flag cannot take it."""
    flag = f"--{_key(action)}"
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError("settings", f"{origin}: {flag} is {value!r}: a switch is true or false")
        return [flag] if value else []
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) and not isinstance(part, bool) for part in parts):
        raise UsageError("settings", f"{origin}: {flag} is {value!r}: give a text, a number or a list of them")
    tokens = [f"{flag}={','.join(map(str, parts))}"]
    try:
        parser.parse_args(tokens)
    except UsageError as error:
        raise UsageError(error.code, f"{origin}: {error}") from error
    return tokens
