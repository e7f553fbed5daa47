"""Documented determinism switches: asked for, read back, whether the property holds, what it costs."""
