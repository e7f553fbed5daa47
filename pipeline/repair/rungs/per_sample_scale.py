"""Dynamic quantization with one scale for each sample in place of one for the batch."""

from isobatch.pipeline.repair.rungs._scales import scale_rung

RUNG = scale_rung(
    order=10,
    kind="per-sample",
    how="activation scales of each sample alone",
    question="Is the network batch-invariant if every sample is quantized as it would be alone?",
)
