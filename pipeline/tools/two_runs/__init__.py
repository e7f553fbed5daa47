"""Two finished runs against each other."""
