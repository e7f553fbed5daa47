"""The switches that people turn for equal answers: what each asks for, and what must be read back of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

TORCH, ORT = "torch", "onnxruntime"


@dataclass(frozen=True)
class Switch:
    """One switch of some runtimes."""

    name: str
    runtimes: tuple[str, ...]
    reads: str = ""  # the key of its read-back that must then be ``expected``; "" where the library tells nobody
    expected: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)  # variables, which act only before libraries load
    options: Mapping[str, Any] = field(default_factory=dict)  # what the runtime's ``switches:turned`` is given
    one_thread: bool = False  # it runs on one thread, whatever was asked
    compiled: bool = False  # it is one of torch's compiler, and of the variants that are compiled


def _variable(name: str, value: str, reads: str = "", expected: str = "", compiled: bool = False) -> Switch:
    """``expected``: its value where it is not said."""
    expected = expected or (value if reads else "")
    return Switch(f"{name}={value}", (TORCH,), reads, expected, {name: value}, compiled=compiled)


def _option(runtime: str, name: str, reads: str, expected: str, **options: Any) -> Switch:
    return Switch(name, (runtime,), reads, expected, options=options)


_torch, _ort = partial(_option, TORCH), partial(_option, ORT)

SWITCHES = (
    _variable("MKL_CBWR", "AUTO,STRICT", "MKL_CBWR"),
    _variable("MKL_CBWR", "COMPATIBLE", "MKL_CBWR"),
    _variable("MKL_CBWR", "AVX2", "MKL_CBWR"),
    _torch("torch.use_deterministic_algorithms(True)", "deterministic algorithms", "on", deterministic_algorithms=True),
    _torch("torch.backends.mkldnn.deterministic = True", "oneDNN deterministic", "on", mkldnn_deterministic=True),
    _torch("torch.backends.mkldnn.enabled = False", "oneDNN", "off", mkldnn=False),
    _variable("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT"),
    _variable("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
    _torch('torch.set_float32_matmul_precision("high")', "float32 matmul precision", "high", matmul_precision="high"),
    _torch(
        'torch.set_float32_matmul_precision("medium")', "float32 matmul precision", "medium", matmul_precision="medium"
    ),
    _ort("use_deterministic_compute = True", "deterministic compute", "on", deterministic=True),
    _ort("graph optimisation: none", "graph optimisation", "ORT_DISABLE_ALL", level="ORT_DISABLE_ALL"),
    _ort("graph optimisation: basic", "graph optimisation", "ORT_ENABLE_BASIC", level="ORT_ENABLE_BASIC"),
    _ort("graph optimisation: extended", "graph optimisation", "ORT_ENABLE_EXTENDED", level="ORT_ENABLE_EXTENDED"),
    _ort("session.intra_op.allow_spinning = 0", "spinning", "off", spinning=False),
    _variable("TORCHINDUCTOR_BATCH_INVARIANT", "1", "Inductor batch_invariant", "on", compiled=True),
    _variable("TORCHINDUCTOR_DETERMINISTIC", "1", "Inductor deterministic", "on", compiled=True),
    replace(
        _torch("torch.compile(dynamic=True)", "compiled with free sizes", "on", compile_dynamic=True), compiled=True
    ),
    Switch("one thread", (TORCH, ORT, "openvino"), "threads", "1", one_thread=True),
)


def switches_of(runtime: str, compiled: bool = False) -> list[Switch]:
    """Those that this runtime has; those of torch's compiler where it compiles."""
    return [switch for switch in SWITCHES if runtime in switch.runtimes and (compiled or not switch.compiled)]
