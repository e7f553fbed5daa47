"""``--show-config``: every setting with its value and where it comes from."""

import json
from collections.abc import Sequence

from isobatch.pipeline.config.sources import UserSetting
from isobatch.reports.escape import clean


def settings_text(every: Sequence[UserSetting], *, as_json: bool) -> str:
    """A line a setting, or a JSON list of {flag, value, origin}."""
    if as_json:
        return json.dumps([vars(setting) for setting in every], indent=1)
    rows = [(setting.flag, clean(_shown(setting.value)), clean(setting.origin)) for setting in every]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{flag:<{wide[0]}}  {value:<{wide[1]}}  {origin}" for flag, value, origin in rows)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not set" if value in (None, "") else str(value)
