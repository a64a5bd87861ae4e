"""Draws the figures of the README; see :mod:`docs.figures.generation` and :mod:`docs.figures.networks`."""
