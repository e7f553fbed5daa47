"""What several runtimes' folders use: quantizing, rounding ties, streams."""
