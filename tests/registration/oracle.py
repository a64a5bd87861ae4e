"""Pairs of images on awkward grids, and networks that know the motion, for the tests of this folder.

Nothing here uses the project's algebra of fields: positions come from SimpleITK or from the definition of the
working grid, fields are read by SciPy.
"""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from functions.network.description import network_description
from functions.registration.tiling import predict_in_tiles

CENTRE = np.array([21.0, -40.0, 130.0])
SETTING = {
    'NetworkDesign': 'unet1',
    'normalization': 'lung',
    'DVFUnit': 'voxel',
    'DownSampling': 'bspline',
    'InputMask': 'Lung',
    'data': {'Phantom_4D': {'DefaultPixelValue': -2048}},
    'deform_exp': {'3D_max20_D14_K': {'MaskToZero': 'Torso'}},
}

#: Of the logarithm of the error that :class:`Errors` answers.
MEAN, DEVIATION = 0.4, 0.5


def rotation(degrees=(12.0, -8.0, 15.0)):
    """Direction cosines, 3x3."""
    angles = np.deg2rad(degrees)
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), *angles)
    return np.array(turn.GetMatrix()).reshape(3, 3)


def grid_image(size, spacing, direction=((1, 0, 0), (0, 1, 0), (0, 0, 1)), centre=CENTRE):
    """Empty float32 image of this grid, its middle at ``centre``."""
    image = sitk.Image([int(n) for n in size], sitk.sitkFloat32)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection(np.asarray(direction).ravel().tolist())
    half = np.asarray(direction) @ (np.array(spacing) * (np.array(size) - 1) / 2)
    image.SetOrigin((np.asarray(centre) - half).tolist())
    return image


GRIDS = {
    'isotropic': ((60, 56, 63), (1.0, 1.0, 1.0), np.eye(3)),
    'anisotropic': ((50, 64, 23), (1.2, 0.9, 2.8), np.eye(3)),
    'oblique': ((44, 50, 26), (1.3, 1.1, 2.3), rotation()),
}


def points_of(image):
    """Physical place of every voxel, [z, y, x, 3], by SimpleITK."""
    return sitk.GetArrayFromImage(
        sitk.PhysicalPointSource(
            sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
        )
    )


def like(array, image):
    """Image of an array on the grid of another."""
    result = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    result.CopyInformation(image)
    return result


def chest_image(grid, seed=0):
    """(int16 HU, lung mask): a textured lung of 38 mm in a body of 56 mm, in air, around CENTRE."""
    points = points_of(grid) - CENTRE
    distance = np.linalg.norm(points / np.array([1.0, 0.9, 1.1]), axis=-1)
    texture = sum(np.sin(points @ wave) for wave in np.random.RandomState(seed).uniform(-0.5, 0.5, (6, 3)))
    hu = np.where(distance < 19, -800 + 30 * texture, np.where(distance < 28, 40 + 10 * texture, -1000))
    return like(hu.astype(np.int16), grid), like((distance < 19).astype(np.uint8), grid)


def shifted_chest(grid, shift):
    """(fixed, moving, lungs as options of ``register``): :func:`chest_image`, and the same moved by ``shift`` mm."""
    fixed, lung = chest_image(grid)
    moving, moving_lung = sitk.Image(fixed), sitk.Image(lung)
    for image in (moving, moving_lung):
        image.SetOrigin((np.array(fixed.GetOrigin()) + shift).tolist())
    return fixed, moving, {'fixed_lung': lung, 'moving_lung': moving_lung}


def motion(points):
    """Smooth analytic displacement (mm): wavelengths from 80 mm, up to 14 mm, different in every axis."""
    x, y, z = np.moveaxis(np.asarray(points) - CENTRE, -1, 0)
    return np.stack(
        [
            4.0 * np.sin(2 * np.pi * z / 90.0) + 1.0,
            3.5 * np.cos(2 * np.pi * x / 80.0),
            9.0 * np.sin(2 * np.pi * (y + z) / 140.0 + 0.5) + 2.0,
        ],
        -1,
    )


def working_grid(image):
    """The grid register() works on, from its description: 1 mm, identity direction, over all voxel
    centres."""
    index = np.array(np.meshgrid(*[(0, n - 1) for n in image.GetSize()])).reshape(3, -1).T
    corners = np.array([image.TransformIndexToPhysicalPoint([int(i) for i in row]) for row in index])
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.ceil(high - low - 1e-3).astype(int) + 1
    return grid_image(size, (1.0, 1.0, 1.0), centre=low + (size - 1) / 2.0)


def sample(field, origin, spacing, points):
    """A field [z, y, x, 3] at points (..., 3): linear, edge clamped."""
    index = (points - origin) / spacing
    return np.stack(
        [
            ndimage.map_coordinates(field[..., i], np.moveaxis(index[..., ::-1], -1, 0), order=1, mode='nearest')
            for i in range(3)
        ],
        -1,
    )


class Oracle:
    """Networks of a pyramid that answer half of the remaining motion, and at the last stage all of it.

    The remaining motion r at p solves p + r + U(p + r) = p + u(p) for the field U composed so far. A network
    is asked tile by tile and works out where a tile lies from its corner alone.

    :param fixed: the fixed image.
    :param design: network whose geometry (padding, tiles) is used.
    :param tile: side of the largest tile; None: everything in one piece.
    :param motion: function points -> displacement (mm).
    :param change: function of what a network answers.
    """

    def __init__(self, fixed, stages, design='unet1', tile=None, motion=motion, change=lambda field: field):
        self.grid, self.stages = working_grid(fixed), list(stages)
        self.description = network_description(design)
        self.memory = 1e12 if tile is None else self.description.peak_bytes((tile,) * 3)
        self.motion, self.change, self.composed, self.calls = motion, change, None, {}

    def networks(self):
        return {stage: OracleNetwork(self, stage) for stage in self.stages}

    def predict(self, stage, moving, fixed, default):
        size = tuple(-(-n // stage) for n in self.grid.GetSize())
        assert moving.shape == fixed.shape == size[::-1]
        self.calls[stage] = 0
        origin = np.array(self.grid.GetOrigin())

        def run(images, corner):
            self.calls[stage] += 1
            offset, sides = self.description.offset, images.shape[1:4]
            axes = [corner[i] + offset + np.arange(self.description.output_size(sides[i])) for i in range(3)]
            z, y, x = np.meshgrid(*axes, indexing='ij')
            points = origin + stage * np.stack([x, y, z], -1).astype(float)
            return self.change(self.answer(stage, points))

        field = predict_in_tiles(self.description, run, moving, fixed, default, self.memory)
        # What was found so far, composed exactly, of what the oracle meant to say.
        z, y, x = np.meshgrid(*[np.arange(n, dtype=float) for n in size[::-1]], indexing='ij')
        points = origin + stage * np.stack([x, y, z], -1)
        meant = self.answer(stage, points)
        total = meant if self.composed is None else meant + sample(*self.composed, points=points + meant)
        self.composed = (total, origin, float(stage))
        return field

    def answer(self, stage, points):
        remaining = wanted = self.motion(points)
        if self.composed is not None:
            for _ in range(40):
                new = wanted - sample(*self.composed, points=points + remaining)
                moved, remaining = np.abs(new - remaining).max(), new
                if moved < 1e-3:
                    break
            else:
                raise AssertionError('the oracle does not converge')
        return remaining if stage == self.stages[-1] else 0.5 * remaining


class OracleNetwork:
    """One stage of an :class:`Oracle`, as much of a network as registration needs."""

    def __init__(self, oracle, stage):
        self.oracle, self.stage, self.step, self.setting = oracle, stage, 0, dict(SETTING, stage=stage)

    def predict(self, moving, fixed, default):
        return self.oracle.predict(self.stage, moving, fixed, default)

    def close(self):
        pass


class Errors:
    """A network of errors that answers one distribution, and remembers how unlike the images are that it is shown."""

    step, stage, description = 7, 2, network_description('error_map')

    def __init__(self):
        self.setting, self.unlike = dict(SETTING, stage=2, NetworkDesign='error_map'), []

    def predict(self, moving, fixed, default):
        inside = (moving != default) & (fixed != default)
        self.unlike.append(np.abs(moving - fixed)[inside].mean())
        return np.broadcast_to(np.float32([MEAN, DEVIATION]), fixed.shape + (2,)).copy()

    def close(self):
        pass
