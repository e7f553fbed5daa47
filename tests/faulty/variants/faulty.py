"""One row a fault. They name the runtime that an ONNX file leaves open, and use none."""

from isobatch.models.spec.words import Family, VariantSpec
from tests.faulty.runner import FAULTS

VARIANTS = Family(
    *(
        VariantSpec(
            name=f"faulty-{fault}",
            runtime="onnxruntime",
            precision="fp32",
            summary=f"numpy, with a fault: {fault}",
            build="tests.faulty.runner:build",
            open="tests.no_such_module:open" if fault == "no-module" else "tests.faulty.runner:Tiny",
            recipe={"fault": fault},
            optional=True,
        )
        for fault in ("healthy", "unavailable", "build-crash", "no-module", *FAULTS)
    ),
    order=90,
)
