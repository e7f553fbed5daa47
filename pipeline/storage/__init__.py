"""What is kept on disk: scratch folders."""
