"""One network in under half a minute: batch-invariant or not, how far, where it starts."""
