"""What several runtimes need, and files as they come from anywhere."""
