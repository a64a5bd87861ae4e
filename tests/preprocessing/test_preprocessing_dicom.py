"""DICOM series as volumes: order, place and HU right; what is no volume is refused with its reason."""

import os

import numpy as np
import pytest
import SimpleITK as sitk

from functions.preprocessing.dicom import read_series
from functions.setting.errors import InputError, MissingFileError

SLICES, ROWS, COLUMNS = 6, 9, 11
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def stored(seed=0):
    """Values as the scanner stores them: HU + 1024, ``[z, y, x]``."""
    return np.random.RandomState(seed).randint(0, 3000, (SLICES, ROWS, COLUMNS)).astype(np.int16)


def write_series(folder, values, series='1', axes=AXIAL, step=2.5, drift=(0.0, 0.0, 0.0), names=None, prefix='s'):
    """Write one file per slice; slice k lies at origin + k * (step * normal + drift)."""
    row, column = np.array(axes[0]), np.array(axes[1])
    normal = np.cross(row, column)
    for k, plane in enumerate(values):
        image = sitk.GetImageFromArray(plane)
        image.SetSpacing((0.7, 0.8))
        place = np.array([-20.0, -30.0, 50.0]) + k * (step * normal + np.array(drift))
        for key, value in {
            '0008|0016': '1.2.840.10008.5.1.4.1.1.2',
            '0008|0018': f'1.2.826.0.1.{series}.{k + 1}',
            '0020|000e': '1.2.826.0.2.' + series,
            '0020|000d': '1.2.826.0.3',
            '0008|0060': 'CT',
            '0020|0032': '\\'.join(f'{v:.8f}' for v in place),
            '0020|0037': '\\'.join(f'{v:.8f}' for v in np.concatenate([row, column])),
            '0020|0013': str(k + 1),
            '0028|1052': '-1024',
            '0028|1053': '1',
        }.items():
            image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        name = names[k] if names else f'{prefix}{k}.dcm'
        writer.SetFileName(os.path.join(str(folder), name))
        writer.Execute(image)
    return str(folder)


def test_slices_are_sorted_by_position_and_rescaled_to_hu(tmp_path):
    values = stored() - 1024
    names = ['c.dcm', 'a.dcm', 'f.dcm', 'b.dcm', 'e.dcm', 'd.dcm']
    image = read_series(write_series(tmp_path, values, names=names))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values)
    assert image.GetSize() == (COLUMNS, ROWS, SLICES)
    np.testing.assert_allclose(image.GetSpacing(), (0.7, 0.8, 2.5), atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), (-20, -30, 50), atol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-6)


@pytest.mark.parametrize('axes', [((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)), ((0.8, 0.6, 0.0), (-0.6, 0.8, 0.0))])
def test_every_voxel_lies_where_its_slice_says(tmp_path, axes):
    values = stored() - 1024
    image = read_series(write_series(tmp_path, values, axes=axes))
    row, column = np.array(axes[0]), np.array(axes[1])
    normal = np.cross(row, column)
    for x, y, k in ((0, 0, 0), (10, 8, 5), (3, 7, 2)):
        place = np.array([-20.0, -30.0, 50.0]) + 0.7 * x * row + 0.8 * y * column + 2.5 * k * normal
        assert image[image.TransformPhysicalPointToIndex(place.tolist())] == values[k, y, x]
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((x, y, k)), place, atol=1e-4)


def test_missing_slice_is_named(tmp_path):
    folder = write_series(tmp_path, stored() - 1024)
    os.remove(os.path.join(folder, 's3.dcm'))
    with pytest.raises(InputError, match=r's2.dcm and s4.dcm are 5 mm apart; the others are 2.5 mm'):
        read_series(folder)


def test_two_series_are_refused_and_one_can_be_named(tmp_path):
    write_series(tmp_path, stored(0) - 1024, '1', prefix='a')
    folder = write_series(tmp_path, stored(1) - 1024, '2', prefix='b')
    with pytest.raises(InputError, match='2 DICOM series.*6 slices, 0.7 x 0.8 x 2.5 mm, 1.2.826.0.2.1; '):
        read_series(folder)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_series(folder, '1.2.826.0.2.2')), stored(1) - 1024)
    with pytest.raises(InputError, match='no series 1.2.3'):
        read_series(folder, '1.2.3')


def test_doubled_slices_are_refused(tmp_path):
    folder = write_series(tmp_path, stored() - 1024)
    again = tmp_path / 'again'
    again.mkdir()
    write_series(again, stored(1) - 1024)
    os.rename(str(again / 's2.dcm'), os.path.join(folder, 't2.dcm'))
    with pytest.raises(InputError, match='same place.*several phases'):
        read_series(folder)


def test_a_tilted_gantry_is_refused(tmp_path):
    with pytest.raises(InputError, match='sideways by 2.5 mm.*tilted'):
        read_series(write_series(tmp_path, stored() - 1024, drift=(0.0, 0.5, 0.0)))


def test_slices_of_different_sizes_are_refused(tmp_path):
    folder, other = write_series(tmp_path, stored() - 1024), tmp_path / 'other'
    other.mkdir()
    write_series(other, stored()[:, :5] - 1024)
    os.replace(str(other / 's5.dcm'), os.path.join(folder, 's5.dcm'))
    with pytest.raises(InputError, match='s0.dcm and s5.dcm differ in Rows: 9 and 5'):
        read_series(folder)


@pytest.mark.parametrize('keep', [-1, 0.5])
@pytest.mark.parametrize('name', ['s3.dcm', 's5.dcm'])
def test_a_truncated_slice_is_noticed_also_at_the_end_of_the_scan(tmp_path, keep, name):
    folder = write_series(tmp_path, stored() - 1024)
    path = os.path.join(folder, name)
    with open(path, 'rb') as stream:
        content = stream.read()
    with open(path, 'wb') as stream:
        stream.write(content[: keep if keep == -1 else int(len(content) * keep)])
    with pytest.raises(InputError, match=name):
        read_series(folder)


def test_folders_without_a_series(tmp_path):
    with pytest.raises(MissingFileError, match='nowhere'):
        read_series(str(tmp_path / 'nowhere'))
    with pytest.raises(InputError, match='holds no DICOM series'):
        read_series(str(tmp_path))
    (tmp_path / 'notes.txt').write_text('not a slice')
    with pytest.raises(InputError, match='holds no DICOM series'):
        read_series(str(tmp_path))
    with pytest.raises(InputError, match='one file'):
        read_series(write_series(tmp_path, stored()[:1] - 1024))


def test_other_files_beside_the_slices_do_not_matter(tmp_path):
    (tmp_path / 'README.txt').write_text('a note')
    image = read_series(write_series(tmp_path, stored() - 1024))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), stored() - 1024)
