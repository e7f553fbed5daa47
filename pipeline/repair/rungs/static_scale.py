"""Dynamic quantization with scales fixed beforehand, from example images."""

from isobatch.pipeline.repair.rungs._scales import scale_rung

RUNG = scale_rung(
    order=15,
    kind="static",
    how="activation scales fixed over example images",
    question="Is the network batch-invariant with activation scales that were fixed beforehand?",
)
