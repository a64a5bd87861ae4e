"""Quality of registrations: landmarks, their error, regularity, overlap, intensity, tables, pictures."""
