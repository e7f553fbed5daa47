"""Which layers start a difference, by which cause, and scripts that show it."""
