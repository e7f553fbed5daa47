"""In what two runs differ before any output is looked at: machine, libraries, settings, configuration, conditions."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from isobatch.pipeline.records.study import Study
from isobatch.pipeline.tools.two_runs.records import Difference

ABSENT = "absent"


def run_differences(a: Study, b: Study, across: Iterable[str]) -> list[Difference]:
    """The environment's differences first, then the configuration's.

    ``across``: the axes in which the conditions of the whole runs differ; they are in the configuration, or in the
    environment, and need no row of their own where they are.
    """
    differences = [
        *_rows("environment", "", _machine(a), _machine(b)),
        *_rows("environment", "in effect: ", a.environment.isa_effective, b.environment.isa_effective),
        *_rows("environment", "device: ", a.environment.device, b.environment.device),
        *_rows("environment", "version: ", a.environment.packages, b.environment.packages),
        *_rows("environment", "variable: ", a.environment.settings, b.environment.settings),
        *_rows("configuration", "", a.config, b.config),
        *_rows("configuration", "policy: ", _policy(a), _policy(b)),
    ]
    named = {difference.what for difference in differences}
    return differences + [
        Difference(group="configuration", what=axis, a=_axis(a, axis), b=_axis(b, axis))
        for axis in across
        if axis not in named
    ]


def _machine(study: Study) -> dict[str, Any]:
    names = ("cpu", "cores", "os", "python", "isa_hardware", "threads")
    return {"program": study.tool.version} | {name: getattr(study.environment, name) for name in names}


def _policy(study: Study) -> dict[str, Any]:
    return study.recommendation.policy.model_dump() if study.recommendation else {}


def _axis(study: Study, axis: str) -> str:
    marks = [mark for variant in study.variants for mark in variant.fingerprints]
    values = {str(getattr(mark.condition, axis) or "") or "as by default" for mark in marks}
    return ", ".join(sorted(values))


def _rows(group: Any, prefix: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """One row a key whose values differ. The policy is stored twice: as asked for, and as it was completed."""
    return [
        Difference(group=group, what=prefix + key, a=_text(a, key), b=_text(b, key))
        for key in dict.fromkeys([*a, *b])
        if _text(a, key) != _text(b, key) and (group, prefix, key) != ("configuration", "", "policy")
    ]


def _text(facts: Mapping[str, Any], key: str) -> str:
    if key not in facts:
        return ABSENT
    value = facts[key]
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return value if isinstance(value, str) else json.dumps(value, default=str)
