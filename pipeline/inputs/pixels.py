"""How pixels become numbers, in words for the report."""

from isobatch.models.spec.images import UNIT, Size, View, sides
from isobatch.pipeline.records.wording import number

RAW = "pixels 0 to 255, not normalised"


def in_words(view: View, size: Size, raw: bool = False) -> str:
    """``short side resized to 256 pixels (bilinear), centre of 224 cut out; pixels / 255, minus mean ...``.

    ``raw``: the network takes the pixels themselves, as uint8.
    """
    height, width = sides(size)
    target = f"{height}" if height == width else f"{height} x {width}"
    if view.resize_to is not None:
        resized = f"resized to {view.resize_to[0]} x {view.resize_to[1]} pixels"
    elif height == width:
        resized = f"short side resized to {view.short_side(height)} pixels"
    else:
        resized = f"resized to cover {view.short_side(height)} x {view.short_side(width)} pixels"
    whole = "" if view.forced else " (a picture of just that size stays as it is)"
    values = f"{RAW}, {view.channel_order.upper()}" if raw else scaling(view)
    return f"{resized} ({view.interpolation}), centre of {target} cut out{whole}; {values}"


def scaling(view: View) -> str:
    """``pixels / 255, minus mean 0.5, over std 0.5, RGB``."""
    scaled = "pixels / 255" if view.scale == UNIT else f"pixels x {number(view.scale)}"
    mean, std = ("/".join(number(value) for value in values) for values in (view.mean, view.std))
    plain = not any(view.mean) and all(value == 1 for value in view.std)
    normal = "" if plain else f", minus mean {mean}, over std {std}"
    return f"{scaled}{normal}, {view.channel_order.upper()}"
