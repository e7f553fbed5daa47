"""From a choice of inputs to stored, hashed sets of images: one file a source."""

from pipeline.inputs.prepare import prepare
from pipeline.inputs.request import InputError, InputsRequest, Labelled, PreparedInputs, PreparedSet

__all__ = ["InputError", "InputsRequest", "Labelled", "PreparedInputs", "PreparedSet", "prepare"]
