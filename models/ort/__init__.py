"""onnxruntime: building, opening, watching, examining and rewriting its graphs. The only place that knows it."""
