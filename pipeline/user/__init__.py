"""What stands behind the functions that users import: checks, origins, repairs, and their records."""
