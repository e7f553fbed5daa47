"""Isobatch's command line: arguments -> config -> study -> reports -> exit code; nothing else."""

import errno
import io
import os
import sys
import traceback
from argparse import Namespace
from typing import NoReturn

from isobatch import PROGRAM, STARTED_AS
from isobatch.pipeline.processes import stopping
from isobatch.pipeline.records.errors import EngineError, Exit, StoreError, UsageError, WorkerError, no_room
from isobatch.reports.escape import clean


def main(argv: list[str]) -> int:
    """Run one command. Returns the exit code of the contract; every expected error is one line on stderr."""
    talk = Namespace(debug="--debug" in argv)
    os.environ[STARTED_AS] = PROGRAM  # workers name the same
    _prepare_streams()
    try:
        stopping.listen()
        try:
            code = int(_dispatch(argv, talk))
        except Exception as error:
            stopping.look(error)  # what a signal breaks off, such as an import, may fail in a way of its own
            raise
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _fail(Exit.USAGE, f"error [{error.code}]: {error}", talk.debug)
    except KeyboardInterrupt as stop:
        return _stopped(Exit.INTERRUPTED, "interrupted", stop)
    except stopping.Terminated as stop:
        return _stopped(Exit.TERMINATED, "terminated", stop)
    except BrokenPipeError:
        _silence(1)
        return Exit.TOOL
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "isobatch":  # of this program or of a plug-in that misspells it
            return _fail(Exit.TOOL, f"error [internal]: {error} (--debug shows where)", talk.debug)
        text = f"{error}: install the packages in requirements.txt (make run), or use the environment's own Python"
        return _fail(Exit.TOOL, f"error [missing-package]: {text}", talk.debug)
    except EngineError as error:
        again = getattr(error, "__notes__", ["start it again"])[0]
        return _fail(Exit.TOOL, f"error [engine]: {error}: {again}", talk.debug)
    except StoreError as error:
        return _fail(Exit.TOOL, f"error [storage]: {error}", talk.debug)
    except WorkerError as error:
        text = f"{error}: install the versions of requirements.txt (make run); {PROGRAM} doctor shows what loads here"
        return _fail(Exit.TOOL, f"error [libraries]: {text}", talk.debug)
    except Exception as error:
        if isinstance(error, OSError) and (where := no_room(error)):
            return _fail(Exit.TOOL, f"error [storage]: {where}", talk.debug)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return _fail(Exit.USAGE, f"error [long-name]: {str(error.filename)[:40]}...: {error.strerror}", talk.debug)
        text = str(error) or type(error).__name__
        return _fail(Exit.TOOL, f"error [internal]: {type(error).__name__}: {text} (--debug shows where)", talk.debug)


def command() -> NoReturn:
    """The installed command ``isobatch``."""
    sys.exit(main(sys.argv[1:]))


def _dispatch(argv: list[str], talk: Namespace) -> int:
    """Run the command, or the study. ``talk.debug`` is set where a file or variable of settings asks for it."""
    from isobatch.pipeline.config.config import effective, read_config
    from isobatch.pipeline.config.flags import study_parser
    from isobatch.pipeline.config.sources import read_settings
    from isobatch.reports.commands import all_commands, described, find_command
    from isobatch.reports.screen.show_settings import settings_text

    if argv and not argv[0].startswith("-"):
        command = find_command(argv[0])
        return command.run(command.parser().parse_args(argv[1:]))
    settings = read_settings(study_parser(described(all_commands())), argv, os.environ)
    arguments = settings.arguments
    talk.debug = arguments.debug
    if arguments.list_variants:
        return _list_variants()
    with settings.naming_origins():
        config = read_config(arguments)
    if arguments.show_config:
        print(settings_text(effective(settings, config), as_json=config.json))
        return Exit.DONE
    if (text := settings.announcement()) and not config.quiet:
        print(clean(f"settings: {text}"), file=sys.stderr)
    from isobatch.reports.screen.study_run import study_run

    return study_run(config)


def _list_variants() -> int:
    from isobatch.models.registry import all_variants, how_to_add, installed

    for row in all_variants():
        mark = " (optional)" if row.optional else " (reference)" if row.role == "reference" else ""
        if row.extra and not installed(row):
            mark = f" (not installed: {how_to_add(row)})"
        print(f"{row.name:<20} {row.summary}{mark}")
    return Exit.DONE


def _stopped(code: Exit, word: str, stop: BaseException) -> int:
    stopping.ignore()
    again = getattr(stop, "__notes__", ["the same command starts anew"])[0]  # a study that keeps its evidence says so
    return _fail(code, f"{word}: {again}", debug=False)


def _fail(code: Exit, text: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    try:
        print(clean(text), file=sys.stderr)
    except OSError:
        _silence(2)
    return code


def _prepare_streams() -> None:
    """What stdout cannot spell becomes "?"; a stream closed by the caller swallows what is said."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open to the end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _silence(descriptor: int) -> None:
    """Nobody reads this stream any more: what is still to be flushed there must not fail at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
