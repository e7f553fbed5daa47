"""Controls that ship with the tool: planted faults must be found and named, and innocent networks not accused."""
