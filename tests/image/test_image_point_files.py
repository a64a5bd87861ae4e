"""Lists of points: every format against text written by hand, round trips, and wrong files."""

import json

import numpy as np
import pytest
from image_truths import image_of, oblique_geometry

from functions.image import point_files as P
from functions.image.geometry import Geometry
from functions.setting.errors import InputError, MissingFileError, UnknownNameError

POINTS = np.array([[1.25, -2.5, 3.0], [40.1234567890123, 0.0, -7.75]])


def text_file(folder, name, text):
    path = folder / name
    path.write_text(text, encoding='utf-8')
    return str(path)


def grid():
    return oblique_geometry((20, 24, 28))


# ---- hand-written truths


def test_dirlab_counts_from_one_and_from_the_top(tmp_path):
    path = text_file(tmp_path, 'case1_300_T00_xyz.txt', '1\t1\t28\n20 24 1\n')
    found = P.read_points(path, grid())
    image = image_of(np.zeros(grid().shape, np.uint8), grid())
    truth = [image.TransformIndexToPhysicalPoint(index) for index in ((0, 0, 0), (19, 23, 27))]
    np.testing.assert_allclose(found.points, truth, atol=1e-9)
    assert found.file_format == 'dirlab' and found.labels is None


@pytest.mark.parametrize('header', ['index\n2\n', ''])
def test_elastix_index_is_zero_based_and_direction_aware(tmp_path, header):
    path = text_file(tmp_path, 'p.txt', header + '3 4 5\n0 0 0\n')
    image = image_of(np.zeros(grid().shape, np.uint8), grid())
    truth = [image.TransformIndexToPhysicalPoint(index) for index in ((3, 4, 5), (0, 0, 0))]
    np.testing.assert_allclose(P.read_points(path, image, 'elastix_index').points, truth, atol=1e-9)


@pytest.mark.parametrize(
    'text', ['point\n2\n1.25 -2.5 3\n40.1234567890123 0 -7.75\n', '# mm\n1.25 -2.5 3\n40.1234567890123;0;-7.75\n']
)
def test_millimetres_need_no_image(tmp_path, text):
    found = P.read_points(text_file(tmp_path, 'p.txt', text))
    np.testing.assert_array_equal(found.points, POINTS)
    assert found.file_format == 'elastix_point'


@pytest.mark.parametrize(
    'text, labels',
    [
        ('1.25,-2.5,3\n40.1234567890123,0,-7.75\n', None),
        ('label, Z (mm), y, X_mm ,seen\n"a, b",3,-2.5,1.25,yes\nc,-7.75,0,40.1234567890123,no\n', ['a, b', 'c']),
        ('\ufeffx,y,z\r\n1.25,-2.5,3\r\n\r\n40.1234567890123,0,-7.75\r\n', None),
    ],
)
def test_csv_columns_go_by_their_names(tmp_path, text, labels):
    found = P.read_points(text_file(tmp_path, 'p.csv', text))
    np.testing.assert_array_equal(found.points, POINTS)
    assert found.labels == labels


@pytest.mark.parametrize(
    'system, signs', [('LPS', (1, 1, 1)), ('RAS', (-1, -1, 1)), ('0', (-1, -1, 1)), ('1', (1, 1, 1))]
)
def test_fcsv_in_either_system(tmp_path, system, signs):
    rows = POINTS * signs
    text = (
        f'# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n# columns = id,x,y,z,ow,ox,oy,'
        'oz,vis,sel,lock,label,desc,associatedNodeID\n'
    )
    text += ''.join(
        'v{},{!r},{!r},{!r},0,0,0,1,1,1,0,F-{},,\n'.format(k, *(row.tolist() + [k])) for k, row in enumerate(rows)
    )
    found = P.read_points(text_file(tmp_path, 'F.fcsv', text))
    np.testing.assert_array_equal(found.points, POINTS)
    assert found.labels == ['F-0', 'F-1']


@pytest.mark.parametrize('system, signs', [('LPS', (1, 1, 1)), ('RAS', (-1, -1, 1))])
@pytest.mark.parametrize('units', ['mm', ['mm', 'mm', 'mm']])
def test_slicer_markups_in_either_system(tmp_path, system, signs, units):
    controls = [{'label': 'a', 'position': row} for row in (POINTS * signs).tolist()]
    content = {
        'markups': [
            {'type': 'Fiducial', 'coordinateSystem': system, 'coordinateUnits': units, 'controlPoints': controls}
        ]
    }
    found = P.read_points(text_file(tmp_path, 'F.mrk.json', json.dumps(content)))
    np.testing.assert_array_equal(found.points, POINTS)
    assert found.labels == ['a', 'a']


# ---- round trips


@pytest.mark.parametrize('name', ['p.csv', 'p.fcsv', 'p.mrk.json', 'p.txt'])
def test_millimetre_formats_lose_nothing(tmp_path, name):
    points = np.random.RandomState(0).uniform(-300, 300, (5, 3))
    path = str(tmp_path / 'ünï code' / name)
    labels = ['p 1', 'ü', 'a,b', '"q"', '']
    P.write_points(path, points, labels=None if name == 'p.txt' else labels)
    found = P.read_points(path)
    np.testing.assert_array_equal(found.points, points)
    assert found.labels == (None if name == 'p.txt' else labels)


@pytest.mark.parametrize('file_format', ['dirlab', 'elastix_index'])
def test_index_formats_round_to_the_nearest_voxel(tmp_path, file_format):
    rng = np.random.RandomState(1)
    index = rng.randint(0, 20, (6, 3))
    shift = rng.uniform(-0.49, 0.49, (6, 3))
    path = str(tmp_path / 'p.txt')
    P.write_points(path, grid().index_to_world(index + shift), grid(), file_format)
    np.testing.assert_allclose(P.read_points(path, grid(), file_format).points, grid().index_to_world(index), atol=1e-9)


def test_the_systems_of_slicer_are_not_swapped():
    """A point to the patient's left and in front has a negative x and a positive y in RAS."""
    from functions.image.slicer_points import markups, parse_markups

    content = markups(np.array([[10.0, -20.0, 30.0]]), None)
    content['markups'][0]['coordinateSystem'] = 'RAS'
    np.testing.assert_array_equal(parse_markups('x', json.dumps(content))[0], [[-10.0, 20.0, 30.0]])


# ---- wrong files


@pytest.mark.parametrize(
    'name, text, words',
    [
        ('p.txt', '1 2 3\n4 5 6\n', 'whole numbers'),
        ('p_xyz_tr.txt', '1 2 3\n4 5 6\n', 'whole numbers'),
        ('p.txt', 'point\n3\n1 2 3\n', 'announces 3'),
        ('p.txt', 'point\n1 2 3\n', 'second line'),
        ('p.txt', '1.5 2 nan\n', 'line 1'),
        ('p.txt', '1.5 2\n', 'three finite numbers'),
        ('p.txt', '', 'no points'),
        ('p_xyz.txt', '1 2 3\n', 'image'),
        ('p.txt', 'index\n1\n1 2 3\n', 'image'),
        ('p.csv', 'a,b,c\n1,2,3\n', 'x, y and z'),
        ('p.csv', 'x,y,z\n1,2\n', 'line 2'),
        ('p.csv', '1,2,3,4\n', 'three columns'),
        ('p.csv', 'x,y,z\n', 'no points'),
        ('p.fcsv', '# Markups\nv,1,2,3,0,0,0,1,1,1,0,F,,\n', 'RAS or LPS'),
        ('p.fcsv', '# CoordinateSystem = IJK\nv,1,2,3\n', 'IJK'),
        ('p.fcsv', '# CoordinateSystem = LPS\nv,1,2,x\n', 'line 2'),
        ('p.fcsv', '# CoordinateSystem = LPS\n# columns = id,a,b\nv,1,2\n', 'columns'),
        ('p.mrk.json', '{"markups": [', 'not valid JSON'),
        ('p.mrk.json', '[]', 'markups'),
        ('p.mrk.json', '{"markups": []}', '0 lists'),
        ('p.mrk.json', '{"markups": [{"coordinateSystem": "LPS", "controlPoints": []}]}', 'no points'),
        ('p.mrk.json', '{"markups": [{"controlPoints": [{"position": [1, 2, 3]}]}]}', 'coordinate system'),
        ('p.mrk.json', '{"markups": [{"coordinateSystem": "LPS", "controlPoints": [{"position": [1, 2]}]}]}', 'three'),
        (
            'p.mrk.json',
            '{"markups": [{"coordinateSystem": "LPS", "coordinateUnits": "um", "controlPoints": '
            '[{"position": [1, 2, 3]}]}]}',
            'um',
        ),
        (
            'p.mrk.json',
            '{"markups": [{"coordinateSystem": "LPS", "controlPoints": [{"position": [1, 2, 3], '
            '"positionStatus": "undefined"}]}]}',
            'not placed',
        ),
    ],
)
def test_errors_name_the_wrong_file(tmp_path, name, text, words):
    path = text_file(tmp_path, name, text)
    with pytest.raises(InputError) as error:
        P.read_points(path)
    assert words in str(error.value) and name in str(error.value)


def test_other_errors(tmp_path):
    with pytest.raises(MissingFileError, match='nowhere'):
        P.read_points(str(tmp_path / 'nowhere.txt'))
    with pytest.raises(UnknownNameError, match='elastix_point'):
        P.read_points(text_file(tmp_path, 'p.txt', '1 2 3'), file_format='elastix_points')
    (tmp_path / 'im.txt').write_bytes(b'\xff\xfe\x00\x81')
    with pytest.raises(InputError, match='im.txt'):
        P.read_points(str(tmp_path / 'im.txt'))
    with pytest.raises(InputError, match='says it holds index'):
        P.read_points(text_file(tmp_path, 'p.txt', 'index\n1\n1 2 3\n'), file_format='elastix_point')
    with pytest.raises(InputError, match='finite'):
        P.write_points(str(tmp_path / 'q.csv'), [[1, 2, np.nan]])
    with pytest.raises(InputError, match='2 labels'):
        P.write_points(str(tmp_path / 'q.csv'), POINTS[:1], labels=['a', 'b'])
    with pytest.raises(InputError, match='needed'):
        P.write_points(str(tmp_path / 'q.txt'), POINTS, file_format='dirlab')
    assert not (tmp_path / 'q.csv').exists() and not (tmp_path / 'q.txt').exists()


def test_a_left_handed_image_places_dirlab_points_where_simpleitk_does(tmp_path):
    geometry = Geometry(
        (5, 6, 7), (0.97, 0.97, 2.5), (10.0, 20.0, -30.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    )
    image = image_of(np.zeros(geometry.shape, np.uint8), geometry)
    path = text_file(tmp_path, 'p.txt', '2 3 4\n')
    np.testing.assert_allclose(
        P.read_points(path, image, 'dirlab').points[0], image.TransformIndexToPhysicalPoint((1, 2, 3)), atol=1e-9
    )
