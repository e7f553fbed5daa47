"""A layer's difference as a script of its own: found, reduced, written, started."""
