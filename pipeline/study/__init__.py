"""The stages of a study, and the only file that knows their order."""
