"""``report.json``: the study as strict JSON, its schema, and the way back."""

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from isobatch.models.shared.regular_files import read_object
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import SCHEMA_VERSION, Study

FILE_NAME = "report.json"
SCHEMA_FILE = Path(__file__).resolve().parents[1] / "schema.json"
_SHOWN_PROBLEMS = 3


def study_json(study: Study) -> str:
    """The study as JSON text that every strict parser reads: non-finite numbers are "nan", "inf" and "-inf"."""
    return json.dumps(strict(study.model_dump()), indent=1, allow_nan=False)


def strict(value: Any) -> Any:
    """The value with its non-finite numbers as words: free-form parts (recipes, settings) have no type to do it.

    The bytes of a file's name need not be text: what has no place in JSON becomes "?".
    """
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {key: strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def schema_json() -> str:
    """The JSON Schema of ``report.json``, as shipped in ``schema.json``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Study.model_json_schema()
    return json.dumps(schema, indent=1) + "\n"


def load_finished(path: Path) -> Study:
    """As ``load_study``; raises UsageError (code "unfinished-report") too, where the study was not at its end."""
    study = load_study(path)
    if study.pending:
        raise UsageError(
            "unfinished-report",
            f"the report of {study.run_id} was written before its study ended: {', '.join(study.pending)} are still to "
            "come. Run the study's command again, which goes on where it stopped",
        )
    return study


def load_study(path: Path) -> Study:
    """The study in a ``report.json``, or in a run's folder that holds one.

    Raises UsageError (code "report") where there is none, where it is damaged or of a newer schema.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        content = read_object(file)
    except FileNotFoundError as error:
        raise UsageError("report", f"no report at {file}: give a finished run's folder or its {FILE_NAME}") from error
    except OSError as error:
        raise UsageError("report", f"cannot read {file}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError("report", f"{file} is damaged, it is no report: {error}. Run the study again") from error
    version = content.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UsageError(
            "report",
            f"{file} has schema version {version}, this program reads up to {SCHEMA_VERSION}: use the version of the "
            "program that wrote it, or a newer one",
        )
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        places = [f"{'.'.join(map(str, e['loc'])) or 'the top'}: {e['msg']}" for e in error.errors()[:_SHOWN_PROBLEMS]]
        more = f" and {error.error_count() - _SHOWN_PROBLEMS} more" if error.error_count() > _SHOWN_PROBLEMS else ""
        raise UsageError("report", f"{file} is not a report: {'; '.join(places)}{more}. Run the study again") from error
