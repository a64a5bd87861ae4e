"""How well a registration went: landmarks, their error, regularity, overlap, intensity, tables, pictures."""
