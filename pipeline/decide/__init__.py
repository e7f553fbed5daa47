"""From records and a policy to a recommendation: pure functions."""
