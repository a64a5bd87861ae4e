"""Intensity augmentations against their formulas; nothing changes outside the mask."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from functions.artificial_generation import occlusion
from functions.artificial_generation.augmentation import Scene, augment_all, check_sequence
from functions.artificial_generation.masked_image import MaskedImage
from functions.artificial_generation.sponge import sponge_intensity
from functions.image.dvf import jacobian_determinant
from functions.setting.artificial_generation_setting import load_deform_exp_setting
from functions.setting.errors import InputError, UnknownNameError
from functions.setting.seeds import random_state


def scene_of(thorax, jacobian=None, **changes):
    options = load_deform_exp_setting('3D_max7_D14_K')
    options.update(changes, SpongeModel='published', noise_sigma=10)
    dvf = sitk.GetImageFromArray(np.zeros(thorax.im.shape + (3,), np.float32), isVector=True)
    dvf.SetSpacing(thorax.spacing)
    warped = MaskedImage(*[sitk.GetImageFromArray(array) for array in (thorax.im, thorax.lung, thorax.torso)])
    scene = Scene(warped, dvf, lambda purpose: random_state(purpose, 1), options)
    if jacobian is not None:
        scene.products['jacobian'] = jacobian
    return scene


def test_sponge_formulas():
    hu = np.array([-800.0, 50.0, -1000.0], np.float32)
    jacobian = np.array([0.9, 1.2, 5.0], np.float32)
    np.testing.assert_allclose(
        sponge_intensity(hu, jacobian, 1.1), [-800 / 0.9 * 1.1, 50 / 1.2 * 1.1, -1000 / 1.3 * 1.1], rtol=1e-6
    )
    np.testing.assert_allclose(
        sponge_intensity(hu, jacobian, 1.1, 'physical'),
        [200 * 0.9 * 1.1 - 1000, 1050 * 1.2 * 1.1 - 1000, -1000],
        rtol=1e-6,
    )
    np.testing.assert_allclose(sponge_intensity(hu[:1], np.float32([0.1])), [-800 / 0.7], rtol=1e-6)
    with pytest.raises(UnknownNameError, match='physical'):
        sponge_intensity(hu, jacobian, 1.0, 'physics')


def test_sponge_inside_the_torso_only_with_one_factor(thorax):
    jacobian = np.random.RandomState(0).uniform(0.5, 1.6, thorax.im.shape).astype(np.float32)
    result = augment_all(thorax.im, ['Clean', 'Sponge'], scene_of(thorax, jacobian))[-1][1]
    inside = thorax.torso > 0
    np.testing.assert_array_equal(result[~inside], thorax.im[~inside])
    k = random_state('add_sponge_model', 1).uniform(0.9, 1.1)
    expected = thorax.im / np.clip(jacobian, 0.7, 1.3) * k
    np.testing.assert_allclose(result[inside], expected[inside], atol=0.51)


def test_physical_sponge_conserves_mass_under_a_known_compression():
    """u maps fixed to moving: a 10 % compression of the lung in z; its mass is that of the region it came
    from."""
    shape, spacing = (60, 40, 40), (1.0, 1.0, 1.0)
    dvf = np.zeros(shape + (3,), np.float32)
    dvf[..., 2] = (0.1 * (np.arange(60) - 10))[:, None, None]
    z, y, x = np.meshgrid(*[np.arange(n, dtype=float) for n in shape], indexing='ij')

    def density(at_z):
        return -800 + 60 * np.sin(at_z / 4) + 40 * np.cos(x / 5)

    deformed = density(z + dvf[..., 2])
    result = sponge_intensity(deformed.astype(np.float32), jacobian_determinant(dvf, spacing), 1.0, 'physical')
    # Slices 10 … 50 of the fixed image are slices 10 … 54 of the moving one.
    fine = np.arange(0, 4400) / 100.0 + 10 + 0.005
    mass_before = (np.interp(fine, np.arange(60), density(z).mean(axis=(1, 2)) + 1000)).sum() / 100
    trapezoid = np.trapezoid if hasattr(np, 'trapezoid') else np.trapz
    mass_after = trapezoid((result + 1000).mean(axis=(1, 2))[10:51])
    assert mass_after == pytest.approx(mass_before, rel=0.01)
    published = sponge_intensity(deformed.astype(np.float32), jacobian_determinant(dvf, spacing))
    assert abs((published + 1000).mean() - (result + 1000).mean()) > 0.1 * (result + 1000).mean()


def test_noise_has_the_drawn_mean_and_the_set_sigma(thorax):
    result = augment_all(thorax.im, ['Clean', 'Noise'], scene_of(thorax))[-1][1]
    inside = thorax.torso > 0
    np.testing.assert_array_equal(result[~inside], thorax.im[~inside])
    change = (result.astype(int) - thorax.im)[inside]
    mean = int(random_state('add_noise', 1).uniform(-10, 10))
    assert change.mean() == pytest.approx(mean, abs=0.15)
    assert change.std() == pytest.approx(10, abs=0.1)
    # Not correlated with its neighbours.
    noise = (result.astype(float) - thorax.im) - mean
    pairs = inside[:, :, 1:] & inside[:, :, :-1]
    assert abs((noise[:, :, 1:] * noise[:, :, :-1])[pairs].mean()) < 1.0


@pytest.mark.parametrize('spacing', [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (4.0, 4.0, 4.0)])
def test_occlusion_is_made_of_centred_ellipsoids_inside_the_lung(spacing):
    shape = tuple(int(80 / s) for s in spacing[::-1])
    lung = np.ones(shape, np.uint8)
    occluded = occlusion.draw_ellipsoids(lung, spacing, np.random.RandomState(2), 1, [15, 15, 15])
    places = np.argwhere(occluded) * spacing[::-1]
    # Point-symmetric about a voxel, hence centred.
    centre = (places.min(axis=0) + places.max(axis=0)) / 2
    mirrored = np.rint((2 * centre - places) / spacing[::-1]).astype(int)
    assert occluded[tuple(mirrored.T)].all()
    half = (places.max(axis=0) - places.min(axis=0)) / 2
    assert (half < 15).all()
    volume = occluded.sum() * np.prod(spacing)
    assert volume <= 4 / 3.0 * np.pi * 15**3
    lung[:, : shape[1] // 2] = 0
    many = occlusion.draw_ellipsoids(lung, spacing, np.random.RandomState(2), 10, [15, 15, 15])
    assert many.any() and not (many & (lung == 0)).any()


def test_occlusion_intensities_and_untouched_rest(thorax):
    scene = scene_of(thorax)
    result = augment_all(thorax.im, ['Clean', 'Occluded'], scene)[-1][1]
    occluded = scene.products['occluded'] > 0
    assert occluded.any() and not (occluded & (thorax.lung == 0)).any()
    np.testing.assert_array_equal(result[~occluded], thorax.im[~occluded])
    six = ndimage.generate_binary_structure(3, 1)
    shell_1 = ndimage.binary_erosion(occluded, six)
    shell_2 = ndimage.binary_erosion(shell_1, six)
    core = ndimage.binary_erosion(shell_2, six)
    value = np.float32(thorax.im)
    outer = occluded & ~shell_1
    # The outer shell is 0.8 of the image and 0.2 of one value in [-800, -780).
    values = (result[outer] - 0.8 * value[outer]) / 0.2
    assert -804 < values.mean() < -776 and np.ptp(values) < 12
    inner = shell_2 & ~core
    if inner.any():
        values = (result[inner] - 0.1 * value[inner]) / 0.9
        assert np.ptp(values) < 4


def test_clean_is_the_image_and_sequence_is_checked(thorax):
    last = augment_all(thorax.im, ['Clean', 'Sponge', 'Noise'], scene_of(thorax))
    steps = augment_all(thorax.im, ['Clean', 'Sponge', 'Noise'], scene_of(thorax), keep=True)
    assert len(last) == 1 and np.array_equal(last[0][1], steps[-1][1])
    assert [names for names, _ in steps] == [['Clean'], ['Clean', 'Sponge'], ['Clean', 'Sponge', 'Noise']]
    assert steps[0][1] is thorax.im and all(image.dtype == np.int16 for _, image in steps)
    with pytest.raises(UnknownNameError, match='Sponge'):
        check_sequence(['Clean', 'Spong'])
    for wrong in ([], ['Noise'], ['Clean', 'Clean']):
        with pytest.raises(InputError, match='start with'):
            check_sequence(wrong)


def test_occlusion_without_lung_is_an_error(thorax):
    empty = thorax._replace(lung=np.zeros_like(thorax.lung))
    with pytest.raises(InputError, match='leave it out of the DeformedImExt'):
        augment_all(thorax.im, ['Clean', 'Occluded'], scene_of(empty))
