"""What the libraries in this worker say is in effect."""

import sys


def read() -> dict[str, str]:
    """What the libraries in this worker say is in effect, a line for each that is loaded: ISA, threads, versions.

    To be asked after the work, not before it.
    """
    facts: dict[str, str] = {}
    if torch := sys.modules.get("torch"):
        facts["torch"] = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
        facts["torch oneDNN"] = (
            "on" if torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled else "off"
        )
    if compat := sys.modules.get("isobatch.models.weights.torchvision_compat"):
        facts["torchvision"] = "extension not loaded (schemas stubbed)" if compat.STUBBED else "extension loaded"
    if ort := sys.modules.get("onnxruntime"):
        facts["onnxruntime"] = ", ".join(ort.get_available_providers())
    if (openvino := sys.modules.get("openvino")) and hasattr(openvino, "__version__"):
        facts["openvino"] = openvino.__version__
    return facts
