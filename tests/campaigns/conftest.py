"""The networks that the audits look into are those of the tests of models."""

from tests.models.conftest import resnet18_artifact, resnet18_request, resnet18_state

__all__ = ["resnet18_artifact", "resnet18_request", "resnet18_state"]
