"""The race: contestants called in turn while all others are stopped, so that their costs can be compared."""
