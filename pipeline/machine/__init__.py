"""What is known of this machine, and what other programs on it take away."""
