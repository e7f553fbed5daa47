"""What pictures are made into in this study: what was asked, else what is known of the weights; and its record."""

from collections.abc import Sequence

from isobatch.models.spec.images import Size, View, sides
from isobatch.models.spec.interface import Input
from isobatch.models.weights import model_name
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.config.preprocessing import PreprocessingAsked, view_asked
from isobatch.pipeline.inputs.pixels import in_words
from isobatch.pipeline.prepare.crossing import NetworkFound
from isobatch.pipeline.records import study as records

_OF_PIXELS = ("mean", "std", "scale")


def chosen_view(config: Config, network: NetworkFound) -> tuple[View, Size, records.Preprocessing]:
    """The view, the size of the images, and what the report keeps of both. Raises UsageError.

    A size that the network's graph has fixed is the default.
    """
    fixed = network.fixed_size
    given = config.image_size or (None if config.preprocessing.crop or fixed is None else _size(fixed))
    view, size = view_asked(network.view, config.preprocessing, given, channels_of(network))
    asked = [f"--{name.replace('_', '-')}" for name in PreprocessingAsked.__dataclass_fields__ if _given(config, name)]
    asked = [flag for flag in asked if flag != "--layout"]
    source = "; ".join([network.view_from, *([f"changed by {', '.join(asked)}"] if asked else [])])
    resized = list(view.resize_to) if view.resize_to else view.short_side(min(sides(size)))
    record = records.Preprocessing(
        size=list(sides(size)),
        resize=resized,
        interpolation=view.interpolation,
        mean=list(view.mean),
        std=list(view.std),
        scale=view.scale,
        channel_order=view.channel_order,
        source=source,
        assumed=network.view_assumed and not any(_given(config, name) for name in _OF_PIXELS),
        text=in_words(view, size, takes_pixels(network.interface)),
    )
    return view, size, record


def channels_of(network: NetworkFound) -> int:
    """How many channels the network's images have."""
    if not network.onnx_path:
        return model_name.channels_of(network.model)
    first = network.interface[0]
    return (first.channels if first.of_pictures else None) or 3


def takes_pixels(interface: Sequence[Input]) -> bool:
    """Whether pictures are handed over as uint8: no mean, deviation or scale is applied to them."""
    return len(interface) == 1 and interface[0].of_pictures and interface[0].dtype == "uint8"


def _given(config: Config, name: str) -> bool:
    return getattr(config.preprocessing, name) is not None


def _size(fixed: tuple[int, int]) -> Size:
    height, width = fixed
    return height if height == width else (height, width)
