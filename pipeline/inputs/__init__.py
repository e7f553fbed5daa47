"""From a choice of inputs to stored, hashed sets of images: one file a source."""

from isobatch.pipeline.inputs.prepare import prepare
from isobatch.pipeline.inputs.request import InputError, InputsRequest, Labelled, PreparedSet

__all__ = ["InputError", "InputsRequest", "Labelled", "PreparedSet", "prepare"]
