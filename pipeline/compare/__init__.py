"""From outputs to comparisons, classes of N, margins, verdicts and accuracy: pure functions."""
