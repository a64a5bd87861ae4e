"""elastix and transformix: running them, and reading and writing their parameter and transform files."""
