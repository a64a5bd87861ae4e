"""Registration: from a pair of images and trained networks to one displacement vector field, in a single shot per stage."""
