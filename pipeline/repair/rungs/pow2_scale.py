"""Static activation scales rounded up to powers of two, which make the multiplications of the epilogue exact."""

from isobatch.pipeline.repair.rungs._scales import scale_rung

RUNG = scale_rung(
    order=30,
    kind="power-of-two",
    how="activation scales rounded up to powers of two",
    question="Is the network batch-invariant with activation scales that are powers of two?",
)
