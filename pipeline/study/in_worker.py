"""What runs inside a worker: build an artifact, measure its passes, predict labels. Called by dotted name."""

from __future__ import annotations

_CLIP_BATCH = 4
