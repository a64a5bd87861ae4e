"""Artificial deformations: DVF categories, intensity augmentations, their seeded and resumable production."""
