"""The networks: their tables, one module each, what follows from a table, and the graphs built from them."""
