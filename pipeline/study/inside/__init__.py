"""Looking inside a variant: its origins, their proof and its repairs. ``explain.py`` asks for it."""
