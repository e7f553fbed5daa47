"""What is shipped of a choice, and the record that verifies it again: plain numbers, and code of our templates."""
