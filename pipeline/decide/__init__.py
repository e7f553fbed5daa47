"""What decides: demands, the reference they are measured by, and the choice."""
