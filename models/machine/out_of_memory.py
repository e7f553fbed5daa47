"""Errors of too little memory, told apart from all others. Imports no runtime: an error is no reason to load one."""

from isobatch.models.spec.words import OutOfMemory

_WORDS = (
    "out of memory",  # torch.OutOfMemoryError of the CUDA allocator, and the driver's own error
    "alloc_failed",  # CUDNN_STATUS_ALLOC_FAILED, CUBLAS_STATUS_ALLOC_FAILED
    "defaultcpuallocator",  # "can't allocate memory", "not enough memory"
)
_LONGEST = 240  # characters: the rest is the allocator's statistics


def out_of_memory(error: BaseException) -> OutOfMemory | None:
    """The error as one of memory, if it is one; torch.OutOfMemoryError is a RuntimeError, as all the others are."""
    text = " ".join(str(error).split())
    if not isinstance(error, RuntimeError) or not any(words in text.lower() for words in _WORDS):
        return None
    return OutOfMemory(f"out of memory: {text[:_LONGEST]}")
