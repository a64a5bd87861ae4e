"""A disk that is really full: one clear error, nothing half written, nothing lost."""

import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from functions.artificial_generation import batch, item_files
from functions.artificial_generation.bspline_field import itk_transform
from functions.artificial_generation.item_specification import ItemSpecification
from functions.image.volume_io import image_from_array, read_image, write_image
from functions.setting.atomic import write_json
from functions.setting.errors import DiskError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def disk(tmp_path):
    """Folder on a disk of its own of 2.5 MB."""
    folder = str(tmp_path / 'disk')
    os.mkdir(folder)
    try:
        command = ['mount', '-t', 'tmpfs', '-o', 'size=2560k', 'tmpfs', folder]
        subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip('mounting a small disk is not permitted here: {}'.format(getattr(error, 'stdout', b'') or error))
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


@pytest.fixture
def coarse(setting):
    """Seven items at stage 2 (8 mm), each of half a megabyte of DVF and as much again of other files."""
    setting.update(verbose=False, stage=2)
    setting['DataExpDict'][0]['TrainingDSmoothList'] = [0, 4, 9, 13, 18, 27]
    return setting


def files_below(root):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


@pytest.mark.once
@pytest.mark.parametrize('n_workers', [1, 2])
def test_batch_on_a_full_disk_stops_with_one_error_and_goes_on_when_there_is_room(coarse, disk, n_workers):
    full = dict(coarse, RootFolder=disk + '/')
    message = f'Cannot write {disk}.*(disk is full|No space left)'
    with pytest.raises(DiskError, match=message) as error:
        batch.generate_batch(full, n_workers=n_workers)
    assert str(error.value).count('Cannot write') == 1 and '.mha' in str(error.value)
    items = [ItemSpecification(full, im_info) for im_info in batch.list_items(full)]
    finished = [item for item in items if item_files.check_item(item, verify=True)[0]]
    assert 1 <= len(finished) < len(items)
    left = files_below(disk)
    assert not [path for path in left if os.path.basename(path).startswith('.')], left
    for path in left:
        if path.endswith('.mha'):
            read_image(path, expect='any')  # refuses a file that is cut short
    content = {path: open(path, 'rb').read() for path in left}
    subprocess.run(['mount', '-o', 'remount,size=64m', disk], check=True)
    report = batch.generate_batch(full, n_workers=n_workers)
    assert len(report.skipped) == len(finished) and report.failed == report.remade == []
    assert len(report.made) == len(items) - len(finished)
    for item in finished:
        for path in item_files.item_paths(item).values():
            assert open(path, 'rb').read() == content[path]
    undisturbed = batch.generate_batch(coarse, n_workers=1)
    assert len(undisturbed.made) == len(items)
    mine, reference = [
        {os.path.relpath(path, root): path for path in files_below(root) if path.endswith('.mha')}
        for root in (disk + '/Elastix', coarse['RootFolder'] + 'Elastix')
    ]
    assert sorted(mine) == sorted(reference)
    for name, path in mine.items():
        assert open(path, 'rb').read() == open(reference[name], 'rb').read(), name


@pytest.mark.parametrize('name', ['image.mha', 'image.nii', 'image.nii.gz', 'image.nrrd'])
def test_no_format_is_published_cut_short(disk, name):
    """The file is several times the disk: removing it leaves much room, yet the error must say 'full'."""
    noise = np.random.RandomState(0).normal(size=(40, 100, 100, 3)).astype(np.float32)
    image = sitk.GetImageFromArray(noise, isVector=True)
    path = os.path.join(disk, name)
    with pytest.raises(DiskError, match=name):
        write_image(image, path)
    assert os.listdir(disk) == []
    write_image(image[:20, :20, :20], path)
    former = open(path, 'rb').read()
    with pytest.raises(DiskError, match=name):
        write_image(image, path)
    assert open(path, 'rb').read() == former and os.listdir(disk) == [name]


def test_no_transform_is_published_cut_short(disk):
    coefficients = np.random.RandomState(0).normal(size=(3, 12, 12, 12))
    grid = sitk.Image(50, 50, 50, sitk.sitkUInt8)
    path = os.path.join(disk, 'transform.tfm')
    item_files._write_transform(path, coefficients, grid)
    np.testing.assert_allclose(
        sitk.ReadTransform(path).GetParameters(), itk_transform(coefficients, grid).GetParameters()
    )
    os.remove(path)
    room = os.statvfs(disk)
    with open(os.path.join(disk, 'rest'), 'wb') as stream:
        stream.write(bytes(room.f_bavail * room.f_frsize - 12288))
    with pytest.raises(DiskError, match='transform.tfm'):
        item_files._write_transform(path, coefficients, grid)
    assert os.listdir(disk) == ['rest']


LIMITED = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from functions.artificial_generation.batch import generate_batch
from functions.setting.errors import DiskError
if __name__ == '__main__':
    with open(sys.argv[2]) as stream:
        setting = json.load(stream)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    try:
        generate_batch(setting, n_workers=1)
    except DiskError as error:
        print('DISK', error)
"""


def test_a_file_that_may_not_grow_is_a_disk_error(coarse, tmp_path):
    """The system refuses files of more than 300 kB: the error names the first DVF, 504 kB, and nothing of it stays."""
    script, settings_file = tmp_path / 'run.py', str(tmp_path / 'setting.json')
    script.write_text(LIMITED)
    limited = dict(coarse, RootFolder=str(tmp_path / 'limited') + '/')
    write_json(settings_file, limited)
    command = [sys.executable, str(script), REPOSITORY, settings_file, '300000']
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    assert output.count('Cannot write') == 1 and 'DISK' in output, output
    assert 'DeformedDVF_pad0_s2.mha: ' in output, output
    left = [os.path.basename(path) for path in files_below(limited['RootFolder'])]
    assert not [name for name in left if name.startswith('.') or 'DVF' in name or 'manifest' in name], left


def test_writing_what_fits_is_not_disturbed(disk):
    """A half full disk of which less than a megabyte is free: no error."""
    with open(os.path.join(disk, 'rest'), 'wb') as stream:
        stream.write(bytes(2 * 2**20))
    path = os.path.join(disk, 'small.mha')
    array = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    write_image(image_from_array(array, sitk.Image(3, 3, 3, sitk.sitkInt16)), path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(path)), array)
