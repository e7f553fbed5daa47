"""onnxruntime: building, opening, running and looking inside."""
