"""Processes: a launcher for each environment, a forked worker for each call, and what crosses the wall."""
