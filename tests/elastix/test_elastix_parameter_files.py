"""elastix's text format: what is read, what is written, what is refused."""

import collections
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.elastix import parameter_files as P
from functions.elastix import registration as R
from functions.setting.errors import InputError, MissingFileError

TEXT = """// a comment
(Transform "AffineTransform")   // and another
  (TransformParameters 1.0 -2 3e-05 0.1)
(Name "a // b" "with (brackets)" word)

(Flag "true")
"""


def test_a_file_written_by_hand():
    assert P.parse_parameters(TEXT) == collections.OrderedDict(
        [
            ('Transform', ['AffineTransform']),
            ('TransformParameters', [1.0, -2, 3e-05, 0.1]),
            ('Name', ['a // b', 'with (brackets)', 'word']),
            ('Flag', ['true']),
        ]
    )


_VALUES = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(blacklist_characters=P.REFUSED + '"', blacklist_categories=('Cc', 'Cs', 'Zl', 'Zp'))),
)
_NAMES = st.from_regex(r'[A-Z][A-Za-z]{2,8}', fullmatch=True)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(_NAMES, st.lists(_VALUES, min_size=1, max_size=5)))
def test_writing_and_reading_is_the_identity(parameters):
    assert P.parse_parameters(P.format_parameters(parameters)) == parameters


def test_values_may_stand_alone_and_truth_values_are_elastixs():
    assert P.format_parameters({'A': 1, 'B': 'x', 'C': True}) == '(A 1)\n(B "x")\n(C "true")\n'


@pytest.mark.parametrize('text', ['Transform 1', '(Transform)', '(Transform "x)', '()', '(', '(A 1)\n(A 2)'])
def test_damaged_lines_are_named(text):
    with pytest.raises(InputError, match='line'):
        P.parse_parameters(text, 'file.txt')


@pytest.mark.parametrize('character', P.REFUSED + '"')
def test_what_elastix_refuses_is_refused_here_first(character):
    with pytest.raises(InputError, match='elastix cannot read'):
        P.format_parameters({'Name': f'/a{character}b/x.mha'})


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(MissingFileError, match='nowhere.txt'):
        P.read_parameters(str(tmp_path / 'nowhere.txt'))
    for content in (b'', b'// nothing\n', b'\xff\xfe\x00', b'hello'):
        (tmp_path / 'x.txt').write_bytes(content)
        with pytest.raises(InputError, match='x.txt'):
            P.read_parameters(str(tmp_path / 'x.txt'))


@pytest.mark.parametrize(
    'path, resolutions, iterations, samples',
    [(R.AFFINE_FILE, 3, 300, 3000), (R.BSPLINE_FILES[3], 3, 500, 2000), (R.BSPLINE_FILES[1], 1, 500, 2000)],
)
def test_the_files_of_the_repository(path, resolutions, iterations, samples):
    parameters = P.read_parameters(path)
    assert parameters['NumberOfResolutions'] == [resolutions]
    assert len(parameters['ImagePyramidSchedule']) == 3 * resolutions
    assert parameters['MaximumNumberOfIterations'] == [iterations]
    assert parameters['NumberOfSpatialSamples'] == [samples]
    assert parameters['DefaultPixelValue'] == [-2048]


def test_the_settings_name_files_that_exist():
    from functions.setting import schema

    for key in ('Reg_Affine_Parameter', 'Reg_BSpline_Parameter'):
        assert os.path.isfile(os.path.join(P.PARAMETER_FOLDER, schema.KEYS[key].default))
