"""Networks that no shape repairs: asked before the ladder is climbed."""

from __future__ import annotations

from typing import Any

from isobatch.models.spec.images import Images
from isobatch.pipeline.evidence.mixing import mixes
from isobatch.pipeline.explain.findings import Watched

_CONTROLLED = 8  # images, of which the one that differs most is looked at


def why_no_shape_repairs(runner: Any, images: Images) -> str:
    """Of a network that is not repeatable, or itself mixes images by anything but a dynamic quantization; else ""."""
    rows = images.read(0, min(len(images), _CONTROLLED))
    if any(runner.run(rows).tobytes() != runner.run(rows).tobytes() for _ in range(2)):
        return "not-repeatable: the same call on the same images gives other bytes, which no shape repairs"
    n = mixes(lambda batch: (runner.run(batch),), rows, 2)
    if n is None:
        return ""
    kinds: set[str] = set()
    if isinstance(runner, Watched):
        runner.watch(rows[:1], lambda layer, inputs, outputs: kinds.add(layer.kind))
    if any("dynamic" in kind.replace("-", "") for kind in kinds):
        return ""
    return (
        f"neighbour-leak: the network itself mixes images (at N = {n} other neighbours change an image's row), which "
        "no shape repairs"
    )
