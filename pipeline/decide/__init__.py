"""From records to a decision: demands, cost, choice. Pure functions."""
