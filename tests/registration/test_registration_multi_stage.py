"""Composition, pyramid and units, with an oracle in place of the network."""
import numpy as np
import pytest
import SimpleITK as sitk

from functions.image.dvf import sample_dvf
from functions.image.geometry import Geometry
from functions.image.volume_io import image_from_array
from functions.registration.multi_stage import STAGE_LISTS, register_images
from functions.setting.errors import InputError

SIZE = (57, 49, 61)
ORIGIN = (-31., 12.5, -205.)


def motion(points):
    """A smooth analytic displacement (mm), wavelengths of 80 mm and more, up to about 12 mm, different in every axis."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([5. * np.sin(2 * np.pi * z / 90.) + 1., 4. * np.cos(2 * np.pi * x / 100.),
                     9. * np.sin(2 * np.pi * (y + z) / 140. + 0.5) + 2.], -1)


def points_of(image):
    size = image.GetSize()
    z, y, x = np.meshgrid(*[np.arange(n, dtype=float) for n in size[::-1]], indexing='ij')
    return np.stack([x, y, z], -1) * np.array(image.GetSpacing()) + np.array(image.GetOrigin())


@pytest.fixture(scope='module')
def fixed():
    array = np.random.RandomState(0).randint(-900, -700, SIZE[::-1]).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(ORIGIN)
    return image


class Oracle(object):
    """Half of the remaining motion at every stage but the last, all of it there.

    The remaining motion r solves p + r(p) + U(p + r(p)) = p + u(p) for the field U composed so far.
    """

    def __init__(self, fixed, stages):
        self.fixed, self.stages, self.composed = fixed, list(stages), None

    def predict(self, stage):
        def function(moving, fixed):
            size = [-(-n // stage) for n in self.fixed.GetSize()]
            assert moving.shape == fixed.shape == tuple(size[::-1])
            reference = sitk.Image(size, sitk.sitkFloat32)
            reference.SetSpacing([float(stage)] * 3)
            reference.SetOrigin(self.fixed.GetOrigin())
            points = points_of(reference)
            wanted = motion(points)
            remaining = wanted.copy()
            if self.composed is not None:
                flat = points.reshape(-1, 3)
                for _ in range(30):
                    moved = flat + remaining.reshape(-1, 3)
                    remaining = wanted - sample_dvf(self.composed, moved).reshape(wanted.shape)
            field = remaining if stage == self.stages[-1] else 0.5 * remaining
            total = field if self.composed is None else \
                field + sample_dvf(self.composed, (points + field).reshape(-1, 3)).reshape(field.shape)
            self.composed = image_from_array(np.asarray(total, np.float32), reference)
            return field
        return function


def largest_error(fixed, stages, composition='exact', change=lambda field: field):
    oracle = Oracle(fixed, stages)
    predict = {stage: (lambda m, f, function=oracle.predict(stage): change(function(m, f))) for stage in stages}
    result = register_images(fixed, fixed, predict, stages, composition=composition)
    points = points_of(fixed)
    inside = tuple(slice(12, -12) for _ in range(3))
    found = sitk.GetArrayFromImage(result.dvf)
    assert Geometry.of(result.dvf).matches(Geometry.of(fixed))
    return np.abs(found - motion(points))[inside].max()


@pytest.mark.parametrize('stages', STAGE_LISTS)
def test_every_pyramid_ends_at_the_motion(fixed, stages):
    assert largest_error(fixed, stages) < 0.2


def test_additive_rule_of_the_published_code_misses_it(fixed):
    assert largest_error(fixed, (4, 2, 1), composition='additive') > 0.2


def test_half_a_voxel_or_swapped_components_would_be_noticed(fixed):
    assert largest_error(fixed, (4, 2, 1), change=lambda field: field[..., ::-1]) > 1.
    assert largest_error(fixed, (4,), change=lambda field: np.roll(field, 1, axis=0)) > 0.2


def test_moved_image_is_what_itk_resamples_with_the_field(fixed):
    result = register_images(fixed, fixed, {4: Oracle(fixed, [4]).predict(4)}, [4])
    transform = sitk.DisplacementFieldTransform(sitk.Cast(result.dvf, sitk.sitkVectorFloat64))
    expected = sitk.GetArrayFromImage(sitk.Resample(fixed, fixed, transform, sitk.sitkBSpline, -2048., sitk.sitkFloat32))
    moved = sitk.GetArrayFromImage(result.moved)
    inside = expected > -1500
    assert inside.mean() > 0.5
    assert np.abs(moved - expected)[inside].max() <= 0.51


def test_images_are_set_to_the_default_outside_their_masks(fixed):
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[20:40, 10:30, 15:45] = 1
    mask = image_from_array(mask, fixed)
    seen = []

    def predict(moving, fixed_array):
        seen.append((moving, fixed_array))
        return np.zeros(moving.shape + (3,), np.float32)
    register_images(fixed, fixed, {4: predict, 2: predict}, [4, 2], mask, mask)
    for (moving, fixed_array), stage in zip(seen, (4, 2)):
        outside = sitk.GetArrayFromImage(mask)[::stage, ::stage, ::stage] == 0
        assert (moving[outside] == -2048).all() and (fixed_array[outside] == -2048).all()
        assert (moving[~outside] > -1000).all() and (fixed_array[~outside] > -1000).all()


@pytest.mark.parametrize('arguments, text', [
    (dict(stages=[3]), 'Accepted'), (dict(stages=[1, 2, 4]), 'Accepted'), (dict(stages=[4, 2]), 'No network'),
    (dict(composition='sum'), 'additive')])
def test_bad_arguments_are_refused(fixed, arguments, text):
    values = dict(stages=[4], composition='exact')
    values.update(arguments)
    with pytest.raises(InputError, match=text):
        register_images(fixed, fixed, {4: None}, **values)


def test_masks_and_images_must_share_the_grid(fixed):
    other = sitk.Image([10, 10, 10], sitk.sitkInt16)
    with pytest.raises(InputError):
        register_images(fixed, other, {4: None}, [4])
    empty = sitk.Image(fixed.GetSize(), sitk.sitkUInt8)
    empty.CopyInformation(fixed)
    with pytest.raises(InputError, match='mask'):
        register_images(fixed, fixed, {4: None}, [4], empty, empty)
