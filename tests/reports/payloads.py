"""Hostile strings, and a study that holds one wherever a string can come from outside."""

from typing import Any

from isobatch.pipeline.records.study import Study

PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "<a href=javascript:alert(1)>x</a>",
    "[click](javascript:alert(1))",
    "![x](https://example.com/pixel.png)",
    "<https://example.com/auto>",
    "`code` | cell | <b>bold</b>",
    "a`` <img src=x onerror=alert(1)> ``b",
    "--> <!-- comment --> <![CDATA[x]]>",
    "{{ 7 * 7 }}{% raw %}{{ study }}{% endraw %}",
    "# heading\n\n- list\n\n<details open>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#x3C;b&#x3E;",
    "\x1b[31mred\x1b[0m \x1b]8;;https://example.com\x07link\x1b]8;;\x07 \x9b2J",
    "\u202egnp.exe\u2066 \u200fabc",
    "[bold red]markup[/bold red] [link=https://example.com]x[/link] **b** _i_ ~~s~~ $x$ @someone",
)

GROUPS = tuple(PAYLOADS[at : at + 5] for at in range(0, len(PAYLOADS), 5))
"""Several at a time, for what takes long to draw: what is escaped is escaped character by character."""

_FIXED = {
    "kind",
    "status",
    "role",
    "verdict",
    "stability",
    "objective",
    "decided",
    "depends",
    "schema_version",
    "found_by",
    "search",
    "state",
    "decided_by",
    "because_rests_on",
}
"""Keys whose values the records restrict to a few words."""


def poisoned(study: Study, payload: str) -> Study:
    """The study with the payload in every free string, variant names and dictionary keys included."""
    return Study.model_validate(_poison(study.model_dump(), payload))


def _poison(value: Any, payload: str, key: str = "") -> Any:
    if isinstance(value, dict):
        numbered = key in ("throughput_img_s", "percentiles", "allclose_tolerance")
        free = key in ("packages", "settings", "isa_effective", "recipe", "config", "stages", "ratios", "standings")
        if key == "standings":
            return {f"{name} {payload}": standing for name, standing in value.items()}
        return {
            (f"{name} {payload}" if free and not numbered else name): _poison(part, payload, name)
            for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_poison(part, payload, key) for part in value)
    if isinstance(value, str) and key not in _FIXED:
        return f"{value} {payload}"
    return value
