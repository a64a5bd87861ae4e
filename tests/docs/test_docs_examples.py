"""The examples of docs/conventions.md, run on a small pair: each tool gets the moved image that was written."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk

from functions.elastix.programs import is_available
from functions.elastix.transform_files import write_total_transform as write_elastix_transform
from functions.image.transforms import write_total_transform

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHIFT = (3.0, -2.0, 5.0)


def blocks(heading, language):
    with open(os.path.join(REPOSITORY, 'docs', 'conventions.md'), encoding='utf-8') as stream:
        section = stream.read().split(f'\n## {heading}\n')[1].split('\n## ')[0]
    return re.findall(rf'(?ms)^```{language}\n(.*?)^```', section)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """fixed.nii.gz, moving.nii.gz and results/ of a shift, on a grid that is turned and lies off the origin."""
    monkeypatch.chdir(tmp_path)
    os.mkdir('results')
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    fixed = sitk.Image(40, 36, 24, sitk.sitkInt16)
    fixed.SetOrigin((10.0, -180.0, -60.0))
    fixed.SetSpacing((1.5, 1.5, 2.0))
    fixed.SetDirection(turned)
    moving = sitk.GaussianSource(
        sitk.sitkFloat32, (60,) * 3, (14.0,) * 3, (-18.0, -150.0, -36.0), 900.0, (-65.0, -200.0, -80.0), (1.6,) * 3
    )
    moving = sitk.Cast(sitk.Round(moving), sitk.sitkInt16)
    field = sitk.TransformToDisplacementField(
        sitk.TranslationTransform(3, SHIFT),
        sitk.sitkVectorFloat32,
        fixed.GetSize(),
        fixed.GetOrigin(),
        fixed.GetSpacing(),
        turned,
    )
    sitk.WriteImage(fixed, 'fixed.nii.gz')
    sitk.WriteImage(moving, 'moving.nii.gz')
    sitk.WriteImage(field, 'results/displacement.mha')
    write_total_transform(None, field, 'results/transform.h5')
    write_elastix_transform('results', os.path.abspath('results/displacement.mha'), field, None, -1024.0)
    # The truth does without a field.
    return sitk.GetArrayFromImage(
        sitk.Resample(moving, fixed, sitk.TranslationTransform(3, SHIFT), sitk.sitkBSpline, -1024.0)
    )


def run(code):
    names = {}
    exec(compile(code, 'docs/conventions.md', 'exec'), names)
    return names


def test_voxels_and_points(folder):
    (code,) = blocks('From a voxel to mm and back', 'python')
    names = run(code)
    # One voxel along x is 1.5 mm along +y, one along y 1.5 mm along -x.
    np.testing.assert_allclose(names['point'], (10 - 30, -180 + 45, -60 + 20))
    np.testing.assert_allclose(names['moving_point'], np.add(names['point'], SHIFT), atol=1e-5)


def test_itk(folder):
    by_transform, by_field = [run(code) for code in blocks('ITK and SimpleITK', 'python')]
    assert np.ptp(folder) > 500
    for names in (by_transform, by_field):
        np.testing.assert_allclose(sitk.GetArrayFromImage(names['moved']), folder, atol=1.01)
    here = sitk.ReadImage('fixed.nii.gz').TransformIndexToPhysicalPoint((30, 20, 10))
    for point in (by_transform['moving_point'], by_field['transform'].TransformPoint(here)):
        np.testing.assert_allclose(point, np.add(here, SHIFT), atol=1e-4)


def test_ants(folder):
    pytest.importorskip('ants', reason='antspyx is not installed')
    (code,) = blocks('ANTs', 'python')
    names = run(code)
    np.testing.assert_allclose(names['moved'].numpy().transpose(2, 1, 0), folder, atol=1.01)
    np.testing.assert_allclose(names['moving_points'].to_numpy()[0], np.add((-20.0, -150.0, -30.0), SHIFT), atol=1e-4)


@pytest.mark.skipif(not is_available(), reason='elastix and transformix are not on the PATH')
def test_transformix(folder):
    (code,) = blocks('elastix and transformix', '')
    with open('fixed_points.txt', 'w', encoding='ascii') as stream:
        stream.write('point\n1\n-20 -150 -30\n')
    # Without an affine there is one file.
    for line in code.replace('TransformParameters.1', 'TransformParameters.0').splitlines():
        assert shutil.which(line.split()[0])
        subprocess.run(line.split(), check=True, stdout=subprocess.DEVNULL)
    np.testing.assert_allclose(sitk.GetArrayFromImage(sitk.ReadImage('moved/result.mha')), folder, atol=1.01)
    with open('moved/outputpoints.txt', encoding='ascii') as stream:
        numbers = re.search(r'OutputPoint = \[ (\S+) (\S+) (\S+) \]', stream.read()).groups()
    np.testing.assert_allclose([float(number) for number in numbers], np.add((-20.0, -150.0, -30.0), SHIFT), atol=1e-4)
