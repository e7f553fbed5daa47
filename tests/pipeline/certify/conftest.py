"""The network that is put on rounding ties is that of the tests of models."""

from tests.models.conftest import images5, resnet18_artifact, resnet18_request, resnet18_state

__all__ = ["images5", "resnet18_artifact", "resnet18_request", "resnet18_state"]
