"""Artificial deformations: DVF categories, intensity augmentations, and their staged, seeded, resumable production."""
