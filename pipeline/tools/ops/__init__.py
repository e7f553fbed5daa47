"""Single operations, N = 1 against N = k."""
