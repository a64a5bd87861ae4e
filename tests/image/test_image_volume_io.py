"""Files: what goes in comes out, and what is damaged is refused."""

import gc
import gzip
import os

import numpy as np
import pytest
import SimpleITK as sitk
from image_truths import image_of, oblique_geometry

from functions.image import volume_io
from functions.image.geometry import Geometry
from functions.image.volume_io import array_view, image_from_array, read_geometry, read_image, write_image
from functions.setting.errors import DiskError, InputError, MissingFileError, RegNetError

FORMATS = ['.mha', '.nii', '.nii.gz', '.nrrd']
TYPES = [np.int16, np.uint8, np.float32]


def noise(shape, dtype=np.int16, seed=0):
    rng = np.random.RandomState(seed)
    return rng.uniform(0 if dtype == np.uint8 else -1000, 250, shape).astype(dtype)


@pytest.mark.parametrize('extension', FORMATS)
@pytest.mark.parametrize('dtype', TYPES)
def test_written_image_is_read_back(tmp_path, extension, dtype):
    geometry = oblique_geometry((7, 8, 9))
    image = image_of(noise(geometry.shape, dtype), geometry)
    path = str(tmp_path / 'made here' / ('im' + extension))
    write_image(image, path)
    back = read_image(path)
    assert back.GetPixelID() == image.GetPixelID()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))
    assert Geometry.of(back).matches(geometry)
    assert os.listdir(os.path.dirname(path)) == ['im' + extension]


@pytest.mark.parametrize('extension', ['.mha', '.nrrd'])
@pytest.mark.parametrize('compress', [False, True])
def test_field_is_read_back_to_the_last_bit(tmp_path, extension, compress):
    geometry = oblique_geometry((5, 6, 7))
    field = noise(geometry.shape + (3,), np.float32)
    path = str(tmp_path / ('u' + extension))
    write_image(image_of(field, geometry), path, compress)
    back = read_image(path, expect='vector')
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), field)
    np.testing.assert_allclose(back.GetDirection(), geometry.direction, rtol=0, atol=1e-15)
    with pytest.raises(InputError, match='3 values per voxel'):
        read_image(path)


def test_uncompressed_is_the_default_and_compression_is_on_request(tmp_path):
    image = sitk.Image(30, 30, 30, sitk.sitkInt16)
    write_image(image, str(tmp_path / 'a.mha'))
    write_image(image, str(tmp_path / 'b.mha'), compress=True)
    assert os.path.getsize(str(tmp_path / 'a.mha')) > 54000
    assert os.path.getsize(str(tmp_path / 'b.mha')) < 2000


VARIANTS = [
    ('im.mha', False),
    ('im.mha', True),
    ('im.nii', False),
    ('im.nii.gz', True),
    ('im.nrrd', False),
    ('im.nrrd', True),
    ('im.mhd', False),
    ('im.mhd', True),
    ('im.nhdr', False),
    ('im.img', False),
]


@pytest.mark.parametrize(
    'name, compress, vector',
    [
        (name, compress, vector)
        for name, compress in VARIANTS
        for vector in (False, True)
        if not (vector and name == 'im.img')
    ],
)
def test_truncated_file_is_noticed(tmp_path, name, compress, vector):
    geometry = oblique_geometry((12, 11, 10))
    array = noise(geometry.shape + (3,) * vector, np.float32 if vector else np.int16)
    sitk.WriteImage(image_of(array, geometry), str(tmp_path / name), compress)
    path = str(tmp_path / name)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(path, 'any')), array)
    data = sorted((f for f in tmp_path.iterdir()), key=lambda f: f.stat().st_size)[-1]
    whole = data.read_bytes()
    for keep in (len(whole) - 1, len(whole) * 2 // 3, len(whole) // 10, 3, 0):
        data.write_bytes(whole[:keep])
        with pytest.raises(InputError, match='im'):
            read_image(path, 'any')
    data.write_bytes(whole)
    read_image(path, 'any')


@pytest.mark.parametrize('header, name', [('im.mhd', 'im.raw'), ('im.nhdr', 'im.raw'), ('im.hdr', 'im.img')])
def test_header_without_its_data_file_is_an_error_that_names_it(tmp_path, header, name):
    sitk.WriteImage(sitk.Image(5, 5, 5, sitk.sitkInt16), str(tmp_path / header))
    os.remove(str(tmp_path / name))
    with pytest.raises(InputError, match=name):
        read_image(str(tmp_path / header))


@pytest.mark.parametrize('name', ['im.mha', 'im.nii.gz', 'im.nrrd'])
def test_a_flipped_bit_in_compressed_data_is_noticed(tmp_path, name):
    path = tmp_path / name
    sitk.WriteImage(image_of(noise((16, 16, 16)), Geometry.identity((16, 16, 16))), str(path), True)
    whole = path.read_bytes()
    for part in (0.5, 0.8, 0.99):
        position = int(part * len(whole))
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
        with pytest.raises(InputError, match='damaged'):
            read_image(str(path))
    path.write_bytes(whole)
    read_image(str(path))


def test_gzip_of_several_members_is_whole_and_truncated_is_noticed(tmp_path):
    plain, packed = str(tmp_path / 'a.nii'), tmp_path / 'b.nii.gz'
    sitk.WriteImage(image_of(noise((9, 9, 9)), Geometry.identity((9, 9, 9))), plain)
    with open(plain, 'rb') as stream:
        content = stream.read()
    members = [gzip.compress(content[:700]), gzip.compress(content[700:])]
    packed.write_bytes(b''.join(members))
    np.testing.assert_array_equal(array_view(read_image(str(packed))), array_view(read_image(plain)))
    packed.write_bytes(members[0])
    with pytest.raises(InputError, match='cut short'):
        read_image(str(packed))


def test_missing_folder_and_what_is_no_image(tmp_path):
    with pytest.raises(MissingFileError, match='nothing.mha does not exist'):
        read_image(str(tmp_path / 'nothing.mha'))
    with pytest.raises(InputError, match='is a folder'):
        read_image(str(tmp_path))
    for name in ('text.mha', 'text.nii', 'text.nii.gz', 'text.nrrd', 'text.png', 'text.docx'):
        (tmp_path / name).write_bytes(b'this is not an image\n' * 40)
        with pytest.raises(InputError, match=name) as caught:
            read_image(str(tmp_path / name))
        assert '\n' not in str(caught.value)


def test_dimensions_and_components(tmp_path):
    def made(name, image):
        sitk.WriteImage(image, str(tmp_path / name))
        return str(tmp_path / name)

    flat = made('flat.mha', sitk.Image(6, 7, sitk.sitkInt16))
    series = made('series.nii', sitk.Image([4, 5, 6, 2], sitk.sitkInt16))
    single = made('single.mha', sitk.Image([4, 5, 6, 1], sitk.sitkInt16))
    colour = made('colour.mha', sitk.Image([4, 5, 6], sitk.sitkVectorUInt8, 3))
    pair = made('pair.mha', sitk.Image([4, 5, 6], sitk.sitkVectorFloat32, 2))
    with pytest.raises(InputError, match='2 dimensions'):
        read_image(flat)
    with pytest.raises(InputError, match='4 dimensions.*4 x 5 x 6 x 2'):
        read_image(series)
    assert read_image(single).GetSize() == (4, 5, 6)
    assert read_image(flat, dim=2).GetSize() == (6, 7)
    with pytest.raises(InputError, match='3 values per voxel'):
        read_image(colour)
    with pytest.raises(InputError, match='2 values per voxel.*with 3'):
        read_image(pair, expect='vector')
    assert read_image(pair, expect='any').GetNumberOfComponentsPerPixel() == 2
    assert (
        read_image(made('d.mha', sitk.Image([4, 5, 6], sitk.sitkVectorFloat64, 3)), expect='vector').GetPixelID()
        == sitk.sitkVectorFloat32
    )
    with pytest.raises(InputError, match='expect'):
        read_image(colour, expect='colour')


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, value):
    array = np.zeros((4, 5, 6), np.float32)
    array[2, 3, 1] = value
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / 'bad.mha'))
    with pytest.raises(InputError, match='1 values that are NaN'):
        read_image(str(tmp_path / 'bad.mha'))


@pytest.mark.parametrize('name', ['im.mhd', 'im.nhdr', 'im.hdr', 'im.txt', 'im'])
def test_only_formats_of_one_file_are_written(tmp_path, name):
    with pytest.raises(InputError, match='.mha'):
        write_image(sitk.Image(3, 3, 3, sitk.sitkInt16), str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_former_file(tmp_path, monkeypatch):
    path = str(tmp_path / 'im.mha')
    write_image(sitk.Image(3, 3, 3, sitk.sitkInt16) + 5, path)

    def full(image, name, compress):
        with open(name, 'wb') as stream:
            stream.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(volume_io.sitk, 'WriteImage', full)
    with pytest.raises(DiskError, match='im.mha'):
        write_image(sitk.Image(9, 9, 9, sitk.sitkInt16), path)
    monkeypatch.undo()
    assert (array_view(read_image(path)) == 5).all()
    assert os.listdir(str(tmp_path)) == ['im.mha']
    assert issubclass(DiskError, RegNetError)


def test_array_view_shares_memory_cannot_be_written_and_outlives_its_image():
    image = image_of(noise((20, 30, 40)), Geometry.identity((40, 30, 20)))
    view = array_view(image)
    expected = sitk.GetArrayFromImage(image)
    assert view.base is not None and view.shape == (20, 30, 40)
    with pytest.raises(ValueError):
        view[0, 0, 0] = 1
    del image
    gc.collect()
    others = [np.full((20, 30, 40), i, np.int16) for i in range(50)]
    np.testing.assert_array_equal(view, expected)
    assert len(others) == 50


def test_image_from_array_types_geometry_and_size_check():
    geometry = oblique_geometry((4, 5, 6))
    assert image_from_array(np.ones((6, 5, 4), bool), geometry).GetPixelID() == sitk.sitkUInt8
    assert image_from_array(np.ones((6, 5, 4)), geometry).GetPixelID() == sitk.sitkFloat32
    assert image_from_array(np.ones((6, 5, 4)), geometry, np.int16).GetPixelID() == sitk.sitkInt16
    field = image_from_array(np.ones((6, 5, 4, 3)), geometry)
    assert field.GetPixelID() == sitk.sitkVectorFloat32 and field.GetSize() == (4, 5, 6)
    assert field.GetDirection() == geometry.direction and field.GetOrigin() == geometry.origin
    for shape in ((4, 5, 6), (6, 5, 4, 3, 1), (5, 4)):
        with pytest.raises(InputError, match='does not fit'):
            image_from_array(np.zeros(shape), geometry)


def test_geometry_from_the_header_alone(tmp_path):
    geometry = oblique_geometry((7, 8, 9))
    path = str(tmp_path / 'im.mha')
    write_image(image_of(noise(geometry.shape), geometry), path)
    with open(path, 'r+b') as stream:
        stream.truncate(600)
    assert read_geometry(path).matches(geometry)
    (tmp_path / 'text.mha').write_text('not an image')
    with pytest.raises(InputError, match='not a readable image'):
        read_geometry(str(tmp_path / 'text.mha'))
    sitk.WriteImage(sitk.Image(4, 5, sitk.sitkInt16), path)
    with pytest.raises(InputError, match='2 dimensions'):
        read_geometry(path)
    with pytest.raises(MissingFileError):
        read_geometry(str(tmp_path / 'nothing.mha'))
