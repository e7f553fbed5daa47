"""Pages that are no study's report."""
