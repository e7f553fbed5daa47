"""The parts of reproducer scripts. Each is a module too, so that the tool runs the very same code."""
