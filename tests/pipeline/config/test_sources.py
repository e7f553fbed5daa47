"""Precedence, origins and complaints of settings; every case through the study's real parser."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import run
from isobatch.pipeline.config.config import read_config
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.config.sources import MAX_BYTES, UserSettings, read_settings, read_toml
from isobatch.pipeline.records.errors import UsageError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("ISOBATCH_"):
            monkeypatch.delenv(name)


def settings(*argv: str, toml: str | None = None, **environment: str) -> UserSettings:
    if toml is not None:
        Path("isobatch.toml").write_text(toml)
    return read_settings(study_parser(), list(argv), environment)


def origin(user_settings: UserSettings, flag: str) -> tuple[Any, str]:
    return next((setting.value, setting.origin) for setting in user_settings.every if setting.flag == flag)


def test_the_command_line_is_over_the_environment_over_the_file_over_the_default() -> None:
    toml = 'threads = 1\nmodel = "resnet18"\nimages = 3\n'
    user_settings = settings("--threads", "3", toml=toml, ISOBATCH_THREADS="2", ISOBATCH_MODEL="vit_b_16")
    assert origin(user_settings, "--threads") == ("3", "command line")
    assert origin(user_settings, "--model") == ("vit_b_16", "ISOBATCH_MODEL")
    assert origin(user_settings, "--images") == ("3", "isobatch.toml")
    assert origin(user_settings, "--seed") == ("42069", "default")
    assert user_settings.announcement() == "ISOBATCH_MODEL sets --model; isobatch.toml sets --images"


def test_without_file_or_variable_the_arguments_are_the_parser_s_own() -> None:
    argv = ["--variants", "fp32", "--quick", "--no-explain"]
    user_settings = settings(*argv)
    assert vars(user_settings.arguments) == vars(study_parser().parse_args(argv))
    assert user_settings.announcement() is None


def test_lists_numbers_and_switches_of_a_file() -> None:
    toml = (
        'variants = ["fp32", "ort-int8"]\nbatch-sizes = [2, 4]\nmax-accuracy-drop = 1.5\nquick = true\nfresh = false\n'
    )
    config = read_config(settings(toml=toml).arguments)
    assert (config.variants, config.batch_sizes, config.quick, config.fresh) == (
        ("fp32", "ort-int8"),
        (2, 4),
        True,
        False,
    )
    assert config.policy.max_accuracy_drop == 1.5


def test_a_variable_turns_a_switch_of_the_file_off() -> None:
    user_settings = settings(toml="quick = true\n", ISOBATCH_QUICK="0")
    assert user_settings.arguments.quick is False
    assert origin(user_settings, "--quick") == (False, "ISOBATCH_QUICK")


def test_another_file_is_named_by_flag_or_variable_and_an_empty_name_is_none() -> None:
    Path("other.toml").write_text("seed = 5\n")
    assert origin(settings("--config", "other.toml", toml="seed = 4\n"), "--seed") == ("5", "other.toml")
    assert origin(settings(ISOBATCH_CONFIG="other.toml"), "--seed") == ("5", "other.toml")
    assert origin(settings("--config", "", ISOBATCH_CONFIG="other.toml"), "--seed") == ("42069", "default")


def test_a_value_that_looks_like_a_flag_stays_a_value() -> None:
    assert settings(toml='out = "--fresh"\n').arguments.out == "--fresh"
    assert settings(toml='out = "--fresh"\n').arguments.fresh is False


@pytest.mark.parametrize(
    ("toml", "code", "text"),
    [
        ("thread = 2", "unknown-setting", "isobatch.toml: no setting 'thread': did you mean 'threads'"),
        ("config = 'x'", "unknown-setting", "no setting 'config'"),
        ("quick = 1", "settings", "a switch is true or false"),
        ("threads = true", "settings", "give a text, a number or a list"),
        ("threads = 1979-05-27", "settings", "give a text, a number or a list"),
        ("[policy]\nobjective = 'size'", "settings", "--policy is {'objective': 'size'}: give a text"),
        ("objective = 'speed'", "usage", "isobatch.toml: argument --objective: invalid choice"),
        ("a = [", "settings", "isobatch.toml is not TOML"),
        ("threads = " + "[" * 5000, "settings", "is not TOML"),
        ("# " + "x" * MAX_BYTES, "settings", "larger than"),
    ],
)
def test_a_bad_file_is_one_clear_line(toml: str, code: str, text: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings(toml=toml)
    assert raised.value.code == code
    assert text in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "code", "text"),
    [
        ({"ISOBATCH_THREDS": "2"}, "unknown-setting", "did you mean ISOBATCH_THREADS"),
        ({"ISOBATCH_QUICK": "perhaps"}, "settings", "ISOBATCH_QUICK: --quick is 'perhaps'"),
        ({"ISOBATCH_CONFIG": "absent.toml"}, "settings", "no file absent.toml"),
        ({"ISOBATCH_CONFIG": "."}, "settings", "no file ."),
    ],
)
def test_a_bad_variable_is_one_clear_line(environment: dict[str, str], code: str, text: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings(**environment)
    assert raised.value.code == code and text in str(raised.value)


def test_a_value_refused_later_names_where_it_came_from() -> None:
    user_settings = settings(ISOBATCH_THREADS="0")
    with pytest.raises(UsageError, match=r"rising \(ISOBATCH_THREADS sets --threads\)"), user_settings.naming_origins():
        read_config(user_settings.arguments)
    typed = settings("--threads", "0")
    with pytest.raises(UsageError, match=r"rising$"), typed.naming_origins():
        read_config(typed.arguments)


@pytest.mark.parametrize("debug", [False, True])
def test_a_traceback_is_shown_wherever_it_was_asked_for(debug: bool, capsys: pytest.CaptureFixture[str]) -> None:
    Path("isobatch.toml").write_text(f"debug = {str(debug).lower()}\nthreads = 0\n")
    assert run.main([]) == 2
    assert ("Traceback" in capsys.readouterr().err) is debug


def test_bytes_that_are_no_text_are_no_settings(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe = 1")
    with pytest.raises(UsageError, match="is not TOML") as raised:
        read_toml(tmp_path / "x.toml", "policy-file")
    assert raised.value.code == "policy-file"


def test_show_config_prints_every_setting_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("isobatch.toml").write_text("threads = 2\n")
    assert run.main(["--show-config", "--seed", "7"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["--threads"].endswith("isobatch.toml") and lines["--seed"].endswith("command line")
    assert run.main(["--show-config", "--json"]) == 0
    by_flag = {setting["flag"]: setting for setting in json.loads(capsys.readouterr().out)}
    assert by_flag["--threads"] == {"flag": "--threads", "value": "2", "origin": "isobatch.toml"}
    assert {path.name for path in Path().iterdir()} == {"isobatch.toml"}


def test_show_config_has_what_is_in_effect_where_nothing_was_set(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*argv: str) -> dict[str, tuple[str, str]]:
        assert run.main(["--show-config", "--json", *argv]) == 0
        return {
            setting["flag"]: (setting["value"], setting["origin"]) for setting in json.loads(capsys.readouterr().out)
        }

    plain = shown()
    assert plain["--batch-sizes"] == ("2,3,4,8,16", "default") and plain["--image-size"] == ("auto", "default")
    assert plain["--policy"] == ("batch-invariant", "default") and plain["--images"] == (None, "default")
    wide = shown("--grid", "wide", "--threads", "1")
    assert wide["--isa"] == ("native,avx2,avx512", "--grid wide (command line)")
    assert wide["--threads"] == ("1", "command line")


@pytest.mark.parametrize("flag", ["--list-variants", "--help"])
def test_a_broken_file_does_not_keep_help_away(flag: str) -> None:
    Path("isobatch.toml").write_text("a = [")
    try:
        assert run.main([flag]) == 0
    except SystemExit as end:
        assert end.code == 0
