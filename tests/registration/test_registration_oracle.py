"""Geometry, composition, up-sampling, tiling and units of a whole registration, apart from any training.

An oracle takes the place of the networks. Every pyramid must end at a smooth analytic motion, on every kind
of grid and in tiles; the three classic mistakes must each be noticed by the same measure.
"""

import numpy as np
import pytest
import SimpleITK as sitk
from oracle import CENTRE, GRIDS, Oracle, chest_image, grid_image, motion, points_of

from functions.image import dvf as dvf_algebra
from functions.image.geometry import Geometry
from functions.image.transforms import affine_from_matrix, write_affine
from functions.registration import multi_stage, register
from functions.setting.schema import STAGE_LISTS

LIMIT = 0.2  # mm
MULTI = [stages for stages in STAGE_LISTS if len(stages) > 1]


@pytest.fixture(scope='module')
def pairs():
    """kind -> (fixed, its lung, moving, its lung); the moving image lies on a grid of its own."""
    found = {}
    for kind, grid in GRIDS.items():
        moving = grid_image((70, 66, 40), (1.1, 1.2, 1.9))
        found[kind] = chest_image(grid_image(*grid)) + chest_image(moving, seed=1)
    return found


def largest_error(pair, oracle, stages, **options):
    """Largest distance (mm) inside the fixed lung between the field that comes out and the true motion."""
    fixed, lung, moving, moving_lung = pair
    options = dict({'affine': 'none'}, **options)
    options.update(fixed_lung=lung, moving_lung=moving_lung, keep_all_stages=True)
    result = register(fixed, moving, oracle.networks(), stages, **options)
    assert Geometry.of(result.dvf) == Geometry.of(fixed)
    distance = np.linalg.norm(sitk.GetArrayFromImage(result.dvf) - motion(points_of(fixed)), axis=-1)
    return distance[sitk.GetArrayFromImage(lung) != 0].max()


@pytest.mark.parametrize(
    'kind, stages', [(kind, [4, 2, 1]) for kind in sorted(GRIDS)] + [('oblique', stages) for stages in STAGE_LISTS[1:]]
)
def test_every_pyramid_ends_at_the_motion(pairs, kind, stages):
    assert largest_error(pairs[kind], Oracle(pairs[kind][0], stages), stages) < LIMIT


@pytest.mark.parametrize('kind', sorted(GRIDS))
def test_tiles_smaller_than_the_volume_end_there_too(pairs, kind):
    oracle = Oracle(pairs[kind][0], [4, 2, 1], design='crop4', tile=97)
    assert largest_error(pairs[kind], oracle, [4, 2, 1]) < LIMIT
    assert oracle.calls[1] > 3


@pytest.mark.parametrize(
    'kind, stages', [('anisotropic', [4, 2, 1]), ('isotropic', [4, 2, 1])] + [('oblique', stages) for stages in MULTI]
)
def test_the_additive_rule_misses_it(pairs, kind, stages):
    assert largest_error(pairs[kind], Oracle(pairs[kind][0], stages), stages, composition='additive') > LIMIT


@pytest.mark.parametrize(
    'kind, stages', [('anisotropic', [4, 2]), ('isotropic', [2, 1]), ('oblique', [4, 2, 1]), ('oblique', [4])]
)
def test_half_a_voxel_misses_it(pairs, kind, stages, monkeypatch):
    """Up-sampling that takes corners of voxels for their centres."""
    upsample = dvf_algebra.resample_dvf

    def shifted(dvf, geometry):
        geometry = Geometry.of(geometry)
        if geometry.spacing[0] < dvf.GetSpacing()[0]:
            shift = (np.array(dvf.GetSpacing()) - np.array(geometry.spacing)) / 2
            dvf = sitk.Image(dvf)
            dvf.SetOrigin((np.array(dvf.GetOrigin()) + shift).tolist())
        return upsample(dvf, geometry)

    monkeypatch.setattr(dvf_algebra, 'resample_dvf', shifted)
    assert largest_error(pairs[kind], Oracle(pairs[kind][0], stages), stages) > LIMIT


@pytest.mark.parametrize(
    'change', [lambda field: field[..., ::-1], lambda field: field.swapaxes(0, 2)], ids=['components', 'axes']
)
@pytest.mark.parametrize('stages', [[4, 2, 1], [2], [1]], ids=lambda stages: '-'.join(map(str, stages)))
def test_a_swap_of_x_and_z_misses_it(stages, change):
    # A cube, so that swapped axes fit.
    pair = chest_image(grid_image((58,) * 3, (1.0,) * 3)) + chest_image(grid_image((60,) * 3, (1.0,) * 3), seed=1)
    assert largest_error(pair, Oracle(pair[0], stages, change=change), stages) > LIMIT


@pytest.mark.parametrize('kind', ['isotropic', 'oblique'])
def test_an_affine_in_front_is_composed_exactly(pairs, kind, tmp_path):
    matrix = np.eye(3) + np.array([[0.04, -0.03, 0.02], [0.05, -0.03, 0.01], [-0.02, 0.04, 0.03]])
    shift = np.array([3.0, -2.0, 4.0])
    path = str(tmp_path / 'affine.tfm')
    write_affine(affine_from_matrix(matrix, CENTRE + shift - matrix @ CENTRE), path)

    def after(points):
        """v with A(p + v(p)) = p + motion(p)."""
        return (points + motion(points) - CENTRE - shift) @ np.linalg.inv(matrix).T + CENTRE - points

    oracle = Oracle(pairs[kind][0], [4, 2], motion=after)
    assert largest_error(pairs[kind], oracle, [4, 2], affine=path) < LIMIT


@pytest.mark.parametrize(
    'kind, stages', [('oblique', [4, 2, 1]), ('isotropic', [4, 2, 1]), ('anisotropic', [4, 2]), ('oblique', [2])]
)
def test_networks_that_work_in_the_box_of_the_lungs_end_there_too(pairs, kind, stages, monkeypatch):
    oracle, boxes = Oracle(pairs[kind][0], stages), []
    find = multi_stage.box_of

    def seen(masks, margin):
        box = find(masks, margin)
        boxes.append((box, margin))
        oracle.grid = sitk.Image(box.size, sitk.sitkUInt8)
        box.apply_to(oracle.grid)
        return box

    monkeypatch.setattr(multi_stage, 'box_of', seen)
    networks = oracle.networks()
    for stage, network in networks.items():
        network.setting['InputMargin'] = 2.0 + stage
    oracle.networks = lambda: networks
    assert largest_error(pairs[kind], oracle, stages) < LIMIT
    assert [margin for _, margin in boxes] == [2.0 + stage for stage in stages]
    # The lungs are 38 x 34 x 42 mm; nearest neighbours of 2.8 mm slices may add some.
    assert all(
        side <= wide + 2 * (2 + stage) + 6
        for (box, _), stage in zip(boxes, stages)
        for side, wide in zip(box.size, (38, 35, 42))
    )


def test_results_on_the_isotropic_grid(pairs):
    fixed, lung, moving, moving_lung = pairs['oblique']
    oracle = Oracle(fixed, [2])
    result = register(
        fixed,
        moving,
        oracle.networks(),
        fixed_lung=lung,
        moving_lung=moving_lung,
        affine='none',
        grid='isotropic',
        keep_all_stages=True,
    )
    assert Geometry.of(result.dvf).matches(Geometry.of(oracle.grid))
    distance = np.linalg.norm(sitk.GetArrayFromImage(result.dvf) - motion(points_of(result.dvf)), axis=-1)
    assert distance[sitk.GetArrayFromImage(result.lung) != 0].max() < LIMIT


def turned(image, flips, order):
    return sitk.PermuteAxes(sitk.Flip(image, flips), order)


@pytest.mark.parametrize(
    'flips, order',
    [((True, False, True), (0, 1, 2)), ((False, True, False), (2, 0, 1)), ((True, True, True), (1, 0, 2))],
)
def test_axes_flipped_or_permuted_give_the_same_physical_field(pairs, flips, order):
    """Networks that depend on what they see: a field made of the intensities themselves."""
    fixed, lung, moving, moving_lung = pairs['anisotropic']
    fields = []
    for first, mask in ((fixed, lung), (turned(fixed, flips, order), turned(lung, flips, order))):
        result = register(
            first, moving, {2: Seeing()}, fixed_lung=mask, moving_lung=moving_lung, affine='none', keep_all_stages=True
        )
        assert Geometry.of(result.dvf) == Geometry.of(first)
        fields.append(result)
    expected = turned(fields[0].dvf, flips, order)
    np.testing.assert_allclose(sitk.GetArrayFromImage(fields[1].dvf), sitk.GetArrayFromImage(expected), atol=1e-4)
    moved = turned(fields[0].moved, flips, order)
    assert np.abs(sitk.GetArrayFromImage(fields[1].moved).astype(int) - sitk.GetArrayFromImage(moved)).max() <= 1
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(fields[1].jacobian),
        sitk.GetArrayFromImage(turned(fields[0].jacobian, flips, order)),
        atol=1e-4,
    )


def test_a_rotated_fixed_image_gives_the_same_physical_field(pairs):
    fixed, lung, moving, moving_lung = pairs['isotropic']
    other, other_lung = chest_image(grid_image((62, 58, 64), (1.0, 1.0, 1.0), GRIDS['oblique'][2]))
    fields = [
        register(
            image, moving, {2: Seeing()}, fixed_lung=mask, moving_lung=moving_lung, affine='none', keep_all_stages=True
        ).dvf
        for image, mask in ((fixed, lung), (other, other_lung))
    ]
    points = CENTRE + np.random.RandomState(0).uniform(-5, 5, (200, 3))
    found = [dvf_algebra.sample_dvf(field, points) for field in fields]
    assert np.linalg.norm(found[0], axis=1).max() > 4
    # The same chest sampled on the turned grid, interpolated once; vectors left in its axes would be 1 mm
    # and more off.
    assert np.linalg.norm(found[1] - found[0], axis=1).max() < 0.6
    turned_vectors = found[0] @ GRIDS['oblique'][2].T
    assert np.linalg.norm(turned_vectors - found[0], axis=1).max() > 1


class Seeing:
    """A network whose field follows what it is shown: smooth functions of the two images, different per
    axis."""

    setting = {
        'NetworkDesign': 'unet1',
        'stage': 2,
        'normalization': None,
        'DVFUnit': 'mm',
        'DownSampling': 'bspline',
        'InputMask': 'Lung',
        'data': {'Phantom_4D': {'DefaultPixelValue': -2048}},
        'deform_exp': {},
    }
    step = 1

    def predict(self, moving, fixed, default):
        from scipy import ndimage

        images = [
            ndimage.gaussian_filter(np.maximum(image, -1000).astype(np.float32), 3.0) for image in (moving, fixed)
        ]
        return np.stack([(images[1] + 1000) / 40.0, (images[0] + 900) / 60.0, (images[1] - images[0]) / 30.0], -1)

    def close(self):
        pass
