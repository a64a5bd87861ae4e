"""Volumes: whole-or-nothing files, resampling, masks, displacement-field algebra, points and finished-work records."""
