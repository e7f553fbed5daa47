"""Images of other sizes than those on which origins were located: which layers depend on N there too."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.layers import CAPTURED, survey_all
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.verify import Openers, Scope


def asking_elsewhere(bench: Bench, scope: Scope, seed: int, alive: Callable[[], None]) -> Bench:
    """The bench, which can ask the scope's images of other sizes where there are any, at every thread count.

    ``alive`` is called now and then while they are asked, for those who wait.
    """
    others = of_other_sizes(scope.sets)
    if not others:
        return bench

    def places() -> Iterator[tuple[AbstractContextManager[Any], NDArray[Any]]]:
        opens: Openers = {bench.threads: lambda: nullcontext(bench.runner), **scope.natives}
        for images in others:
            few = images.read(0, min(len(images), CAPTURED))
            for count, opened in opens.items():
                scope.say(f"looking at every layer on {images.name}, {counted(count, 'thread')}")
                yield opened(), few

    def ask() -> Bench:
        known = bench.located, dict(bench.shapes)
        located, shapes = survey_all(places(), len(bench.images), seed, lambda count: alive(), known)
        bench.runner.watch(bench.images[:1], lambda layer, inputs, outputs: None)  # of the size that is priced
        return replace(bench, located=located, shapes=shapes)

    return replace(bench, elsewhere=ask)


def of_other_sizes(images: Sequence[Images]) -> list[Images]:
    """The first set of each image size that is not that of the first set; a single image shows nothing."""
    first = {images[0].shape[1:]: images[0]}
    for image_file in images[1:]:
        if len(image_file) > 1:
            first.setdefault(image_file.shape[1:], image_file)
    return [*first.values()][1:]
