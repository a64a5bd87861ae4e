"""The networks: their tables as data (``description``), and the graphs built from them."""
