"""From a choice of inputs to stored, hashed sets of images: one file a kind of source."""

from isobatch.pipeline.inputs.prepare import prepare
from isobatch.pipeline.inputs.request import InputError, Labelled, PreparedSet, SetsAsked

__all__ = ["InputError", "Labelled", "PreparedSet", "SetsAsked", "prepare"]
