"""torch: building, opening, watching, examining and rewriting its networks."""
