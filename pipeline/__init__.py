"""From runners to a recommendation. Imports neither torch nor onnxruntime."""
