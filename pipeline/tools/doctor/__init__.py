"""What this machine can run, what not, why, and what to install."""
