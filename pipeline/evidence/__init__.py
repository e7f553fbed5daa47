"""What is to be run, in which passes and parts, and what was brought back."""
