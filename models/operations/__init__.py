"""Single operations at a network's shapes, in each runtime."""
