"""From what was asked to what is ready: weights, inputs, sizes, artifacts, caps, device."""
