"""A random affine on top of the field of any category: what an affine registration leaves."""

import numpy as np

#: Rotation in degrees, change of scale and shear of the drawn matrix, each at most.
ROTATION, SCALE, SHEAR = 4.0, 0.05, 0.03


def add_affine(dvf, rng, spacing, box, displacement):
    """Replace u by A(p + u) - p, in place, for a random affine A about the centre of a box; returns ``dvf``.

    :param dvf: float32 [z, y, x, 3], mm.
    :param spacing: voxel size in mm, (x, y, z).
    :param box: slices (z, y, x): where A moves nothing by more than ``displacement`` mm.
    """
    change = draw_matrix(rng) - np.eye(3)
    low, high = [np.array(ends[::-1]) * spacing for ends in zip(*[(part.start, part.stop - 1) for part in box])]
    half = (high - low) / 2
    corners = half * np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    largest = np.linalg.norm(np.matmul(corners, change.T), axis=1).max()
    share = rng.uniform() * displacement
    change *= min(1, share / max(largest, 1e-6))
    direction = rng.normal(size=3)
    shift = direction / np.linalg.norm(direction) * (displacement - min(share, largest))
    z, y, x = [np.arange(n) * s - c for n, s, c in zip(dvf.shape, spacing[::-1], (low + half)[::-1])]
    places = x, y[:, None], z[:, None, None]
    matrix = change.astype(np.float32)
    for plane, height in zip(dvf, places[2]):
        plane += np.matmul(plane, matrix.T)
        for i, row in enumerate(change):
            plane[..., i] += (row[0] * places[0] + row[1] * places[1] + row[2] * height + shift[i]).astype(np.float32)
    return dvf


def draw_matrix(rng):
    """A random 3 x 3 matrix near the identity: rotation about any axis, scales, shear."""
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    cross, angle = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.deg2rad(rng.uniform(-ROTATION, ROTATION))
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.matmul(cross, cross)
    stretch = np.diag(1 + rng.uniform(-SCALE, SCALE, size=3)) + np.triu(rng.uniform(-SHEAR, SHEAR, size=(3, 3)), 1)
    return np.matmul(rotation, stretch)
