"""Artificial deformations: DVF categories, intensity augmentations, their seeded and resumable production.

An item has the same bytes from any number of workers, in any order, from files or in memory, and on Python 3.7
(NumPy 1.21, SimpleITK 2.2) as on 3.11 (NumPy 2, SimpleITK 2.5). Only a processor for which OpenBLAS has other matrix
kernels changes last bits: DVFs by less than 1e-5 mm, images by at most 2 HU in fewer than one of 1000 voxels, masks not
at all. tests/artificial_generation/test_generation_golden.py holds both.
"""
