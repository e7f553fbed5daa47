"""From a variant's description to a live engine. The only package that knows torch and onnxruntime."""
