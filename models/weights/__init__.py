"""From a choice of weights to verified numbers and the network they belong to."""
