"""Making a variant batch-invariant: layer shapes, the ladder, verifying, pricing, delivering."""
