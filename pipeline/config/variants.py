"""Which variants a list such as ``all`` or ``fp32,ort-int8`` names."""

from __future__ import annotations

from isobatch.models.registry import all_variants, find_variant, installed
from isobatch.pipeline.records.errors import UsageError


def variants_of(text: str, onnx: bool) -> tuple[str, ...]:
    """The names; ``all``, of an ONNX file, are those that can be made from one."""
    if text == "all":
        rows = [row for row in all_variants() if not row.optional and (not row.extra or installed(row))]
        return tuple(row.name for row in rows if not onnx or row.runtime != "torch")
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("unknown-variant", "--variants names none: give 'all' or a list such as fp32,ort-int8")
    for name in names:
        try:
            find_variant(name)
        except KeyError as error:
            raise UsageError("unknown-variant", error.args[0]) from None
    return tuple(dict.fromkeys(names))
