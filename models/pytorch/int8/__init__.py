"""torch's static and dynamic int8: built, stored as plain numbers, rebuilt bit-equal."""
