"""Augmentation ``Clean``: the warped image as it is."""


def augment(image, scene):
    """Return ``image`` unchanged."""
    return image
