"""The variants: one file a family, each a table of rows. Importing a table loads no runtime."""
