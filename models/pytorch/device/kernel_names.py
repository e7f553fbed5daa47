"""What the name of a GPU kernel says: whose it is, its tile, and whether it divides sums over K between blocks.

Read from names alone, which are no documented interface: what is not recognised is passed on as it is, never guessed.
"""

import re

_LIBRARIES = (
    ("ATen", r"^aten::|\bat::(cuda::)?native\b"),
    ("Triton", r"^triton_"),
    ("cuDNN", r"cudnn|^implicit_convolve_sgemm|^explicit_convolve_sgemm|winograd|^fft2d_|conv2d_grouped_direct"),
    ("FlashAttention", r"\bflash_fwd|\bfmha_"),
    (
        "cuBLAS",
        r"cublas|^nvjet_|^gemv|gemvx::|^gemmSN_|^gemmk1_|^splitKreduce|_xmma_gemm_|^(maxwell|volta|turing)_\w*gemm",
    ),
    ("cuBLAS", r"^(ampere|hopper|sm\d+)_\w*gemm"),
    ("CUTLASS", r"cutlass"),
)
"""The first pattern found in the name, without its return type, names the library."""

# xmma names a kernel without the division "segment_k_off": only what a name says of itself counts.
_REDUCTIONS = (
    ("stream-K", r"stream_?k"),
    ("split-K", r"split_?k(?!v)"),
    ("split-KV", r"split_?kv"),
    ("segment-K", r"segment_k(?!_off)"),
    ("sliced-K", r"sliced(\d+x\d+)"),
)
_NO_ARITHMETIC = (
    r"^mem(cpy|set)|nchwtonhwc|nhwctonchw|convert_?tensor|(direct|unrolled)_copy|copy_device_to_device|fillfunctor"
    r"|^aten::(empty|as_strided|resize|view|reshape|flatten|detach|expand|transpose|permute|t$|to$|copy_|_to_copy|clone|resolve_)"
)
_TILE = r"(?:tilesize|_)(\d+x\d+(?:x\d+)?)(?=_|$|>)"


def in_words(name: str) -> str:
    """What a demangled kernel name, or the name of one of torch's operators, says, as far as it says it: whose it is,
    its own name, its tile, and how partial sums over K are shared.

    ``cuBLAS ampere_sgemm_32x32_sliced1x4_nn, tile 32x32, sliced-K 1x4``. ``split-K`` and ``segment-K``: by blocks, each
    with a fixed part; ``stream-K``: by blocks, whose parts depend on how many output tiles there are; ``sliced-K``: by
    warps of a block.
    """
    bare = re.sub(r"^(void|std::enable_if<.*?>::type) ", "", name)
    short = _short(bare)
    library = next((who for who, pattern in _LIBRARIES if re.search(pattern, bare, re.IGNORECASE)), "")
    tile = re.search(_TILE, short)
    parts = f"{library} {short}".strip(), f"tile {tile[1]}" if tile else "", _reduction(bare)
    return ", ".join(part for part in parts if part)


def computes(name: str) -> bool:
    """Whether a kernel does arithmetic: copies, fills and changes of layout do none."""
    return not re.search(_NO_ARITHMETIC, name, re.IGNORECASE)


def _reduction(bare: str) -> str:
    for words, pattern in _REDUCTIONS:
        if match := re.search(pattern, bare, re.IGNORECASE):
            return f"{words} {match[1]}" if match.groups() else words
    return ""


def _short(bare: str) -> str:
    """The function's own name and the numbers among its template arguments, which tell its variants apart.

    CUTLASS wraps each kernel in one function: its own name is the template's argument.
    """
    if bare.startswith("aten::"):
        return bare
    if own := re.search(r"<(cutlass\w+)", bare):
        return own[1]
    plain = re.sub(r"\(anonymous namespace\)::|<unnamed>::|\(int\)|\(bool\)|\b(int|bool)=", "", bare)
    function, _, rest = plain.partition("<")
    path = re.split(r"[(]", function, maxsplit=1)[0].strip().split("::")
    numbers = (
        [part.strip() for part in re.split(r"[<>(]", rest, maxsplit=1)[0].split(",")] if "(" not in function else []
    )
    named = "::".join(path[-2:]) if path[-1].lower() == "kernel" else path[-1]
    digits = [number for number in numbers if number.isdigit()]
    return f"{named}<{', '.join(digits)}>" if digits else named
