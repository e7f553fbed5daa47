import json
import math
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from isobatch.pipeline.records.errors import UsageError
from isobatch.reports.files.json_report import SCHEMA_FILE, load_study, schema_json, study_json
from tests.reports import studies
from tests.reports.payloads import PAYLOADS, poisoned


def strictly(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"not strict JSON: {constant}")

    return json.loads(text, parse_constant=refuse)


def test_the_shipped_schema_is_that_of_the_records() -> None:
    again = "python -c 'from isobatch.reports.files.json_report import *; SCHEMA_FILE.write_text(schema_json())'"
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_json(), f"the records have changed: {again}"


@pytest.mark.parametrize("name", list(studies.ALL))
def test_every_report_fits_the_schema(name: str) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(strictly(study_json(studies.ALL[name]())))


def test_the_schema_marks_what_depends_on_the_clock() -> None:
    properties = json.loads(schema_json())["properties"]
    assert properties["created_utc"]["volatile"] and "volatile" not in properties["variants"]


@pytest.mark.parametrize("name", list(studies.ALL))
def test_a_report_reads_back_to_the_same_study(name: str, tmp_path: Path) -> None:
    text = study_json(studies.ALL[name]())
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    assert study_json(load_study(tmp_path)) == text
    assert study_json(load_study(tmp_path / "report.json")) == text


def test_non_finite_numbers_are_words_everywhere() -> None:
    content = strictly(study_json(studies.strange()))
    measures = [c["max_abs_relative"] for v in content["variants"] for c in v["comparisons"]]
    assert {"nan", "inf", None} <= set(measures)
    assert content["config"]["limit"] == "inf"
    recipe = strictly(study_json(studies.full()))["variants"][4]["recipe"]
    assert recipe["epsilon"] == "nan"


def test_a_nan_read_back_is_a_nan(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(study_json(studies.strange()), encoding="utf-8")
    value = load_study(tmp_path).variants[0].comparisons[0].max_abs
    assert value is not None and math.isnan(value)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_any_string_survives(payload: str, tmp_path: Path) -> None:
    study = poisoned(studies.small(), payload)
    (tmp_path / "report.json").write_text(study_json(study), encoding="utf-8")
    assert load_study(tmp_path).weights == study.weights


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is damaged, it is no report"),
        (b"\xff\xfe", "is damaged, it is no report"),
        (b"[" * 100_000, "is damaged, it is no report"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested more than 64 deep"),
        (b"[]", "it holds no JSON object"),
        (b"{}", "run_id: Field required"),
        (b'{"schema_version": 999, "anything": 1}', "schema version 999, this program reads up to"),
    ],
)
def test_a_bad_report_is_refused_in_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_study(tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_missing_report_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no report at .*finished run's folder"):
        load_study(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no report at"):
        load_study(tmp_path)


def test_a_pipe_or_a_device_in_the_place_of_a_report_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.json")  # would be waited for
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(UsageError, match="it is no regular file"):
            load_study(path)
