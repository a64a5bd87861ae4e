"""Places where results cannot just be renamed to, or cannot be written: mount points, links, full and odd ones."""

import os
import shutil

import pytest
import small_training
from command_server import ANOTHER_USER
from small_commands import change_rights, files_below, mount, pairs_words, unmount
from small_inputs import register_words, tree

pytestmark = pytest.mark.once

ROW = 'other file systems, links and odd names'
FULL = 'full, read-only and forbidden places'
GONE = 'folders removed or replaced while a command runs'


def mount_or_skip(folder, size):
    """A small disk at ``folder``."""
    reason = mount(folder, size)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def disk(tmp_path):
    """A folder that is the mount point of another file system."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount_or_skip(folder, '64m')
    yield folder
    unmount(folder)


def place(kind, disk, tmp_path):
    """The output of a kind."""
    if kind == 'mount point':
        (disk / 'lost+found').mkdir()  # as on a new disk
        return disk
    (disk / 'target').mkdir()
    link = tmp_path / 'link'
    link.symlink_to(disk / 'target')
    return {'link': link, 'folder below a link': link / 'new' / 'er'}[kind]


@pytest.mark.parametrize('kind', ['mount point', 'link', 'folder below a link'])
def test_results_are_made_and_replaced_there(kind, disk, tmp_path, server, inputs, undisturbed, faults):
    output = place(kind, disk, tmp_path)
    with faults(ROW):
        assert server.start(register_words(inputs, output)).wait() == 0
        expected = dict(undisturbed, **({'lost+found': 'empty folder'} if kind == 'mount point' else {}))
        assert tree(output) == expected
    (output / 'notes.txt').write_text('mine')
    with faults(ROW):
        command = server.start(register_words(inputs, output, '--inverse', '--overwrite'))
        assert command.wait() == 0, command.printed()
        assert set(tree(output)) == set(expected) | {'notes.txt', 'inverse.mha'}
        assert server.start(register_words(inputs, output, '--overwrite')).wait() == 0
        assert tree(output) == dict(expected, **{'notes.txt': 'mine'})


@pytest.mark.parametrize('kind', ['register', 'pairs'])
def test_a_folder_of_another_user_is_named(kind, server, inputs, open_folder, faults):
    """Whose model and scans may be read."""
    own = os.path.join(open_folder, 'in')
    shutil.copytree(inputs, own)
    change_rights(own, 0o755)
    place = os.path.join(open_folder, 'place')
    os.mkdir(place)
    words = register_words(own, place + '/out') if kind == 'register' else pairs_words(own, place, ['a'])
    before = tree(place)
    change_rights(place, 0o555)
    with faults(FULL):
        command = server.start(words, **ANOTHER_USER)
        assert command.wait() == 2, command.printed()
        assert place in command.error() and 'ermission denied' in command.error()
        assert tree(place) == before


def test_a_training_of_another_user_is_named_and_kept(server, open_folder, faults):
    """Begun, gone on with, begun anew; and begun anew where only one folder or file is another's."""

    def refused(path, *options):
        before = tree(path)
        command = server.start([open_folder, 'tiny', *options], target='small_training:main', **ANOTHER_USER)
        with faults(FULL):
            assert command.wait() == 2, command.printed()
            assert path in command.error() and 'ermission denied' in command.error()
            assert tree(path) == before

    change_rights(open_folder, 0o555)
    refused(open_folder)
    change_rights(open_folder, 0o755)
    assert server.start([open_folder, 'tiny'], target='small_training:main').wait() == 0
    change_rights(open_folder, 0o555)
    refused(open_folder, '--fresh')
    refused(open_folder, '--further')
    change_rights(open_folder, 0o777)
    for path in files_below(open_folder):
        os.chmod(path, 0o666)
    finished = small_training.outcome(open_folder, 'tiny')
    for place in ('train/Model/Saved', 'train/Model/log.txt', 'validation'):
        path = os.path.join(open_folder, 'Experiments', 'RegNet', 'tiny', place)
        os.chmod(path, 0o555)
        refused(path, '--fresh')
        os.chmod(path, 0o777)
        assert small_training.outcome(open_folder, 'tiny') == finished


def test_a_training_on_a_disk_that_became_read_only_is_named_and_kept(disk, server, faults):
    assert server.start([str(disk), 'tiny'], target='small_training:main').wait() == 0
    before = tree(disk)
    assert not mount(disk, '64m', 'remount', 'ro')
    for options in ([], ['--fresh'], ['--further']):
        with faults(FULL):
            command = server.start([str(disk), 'tiny', *options], target='small_training:main')
            assert command.wait() == 2, command.printed()
            assert str(disk) in command.error() and 'ead-only' in command.error()
            assert tree(disk) == before


def test_old_results_stay_when_there_is_no_room_for_new_ones(tmp_path, server, inputs, undisturbed, faults):
    output = tmp_path / 'small'
    output.mkdir()
    mount_or_skip(output, '2m')
    try:
        assert server.start(register_words(inputs, output)).wait() == 0
        with faults(FULL):
            command = server.start(register_words(inputs, output, '--overwrite'))
            assert command.wait() == 2
            assert str(output) in command.error() and 'space' in command.error() or 'full' in command.error()
            assert tree(output) == undisturbed
        assert not mount(output, '2m', 'remount', 'ro')
        with faults(FULL):
            command = server.start(register_words(inputs, output, '--overwrite'))
            assert command.wait() == 2 and str(output) in command.error() and 'ead-only' in command.error()
        with faults(FULL):
            command = server.start(register_words(inputs, output))
            assert command.wait() == 0 and 'nothing was done' in command.printed()
            assert tree(output) == undisturbed
    finally:
        unmount(output)


@pytest.mark.parametrize('name', ['a b ünïcode 肺', '[x] *?{0}', """it's "so" \\""", '-dash %s $HOME ~;&|'])
def test_odd_names_are_names(name, tmp_path, server, inputs, undisturbed, faults):
    """Of scans, models and results."""
    folder = tmp_path / name
    shutil.copytree(inputs, str(folder))
    with faults(ROW):
        command = server.start(register_words(str(folder), folder / 'out'))
        assert command.wait() == 0, command.printed()
        found = tree(folder / 'out')
        assert set(found) == set(undisturbed)
        assert all(found[image] == undisturbed[image] for image in found if image.endswith('.mha'))
        scan = os.path.join(str(folder), 'moving.nii.gz')
        command = server.start(['--apply', str(folder / 'out'), '--image', scan, '--output', str(folder / 'moved.mha')])
        assert command.wait() == 0, command.printed()


def test_training_resumes_in_a_folder_with_an_odd_name(tmp_path, server, faults):
    folder, how = tmp_path / """[x] *?{0} it's "so" \\ ü""", {'target': 'small_training:main'}
    folder.mkdir()
    whole = server.start([str(tmp_path), 'tiny'], **how)
    assert whole.wait() == 0
    with faults(ROW):
        assert server.start([str(folder), 'tiny'], kill_at=whole.steps() * 3 // 4, **how).wait() == -9
        assert list(folder.glob('Experiments/RegNet/tiny/train/Model/Saved/*.index'))
        again = server.start([str(folder), 'tiny'], **how)
        assert again.wait() == 0, again.printed()
        assert small_training.outcome(folder, 'tiny') == small_training.outcome(tmp_path, 'tiny')


def test_an_output_may_begin_with_a_dash(tmp_path, server, inputs, undisturbed, faults):
    words = register_words(inputs, '-out')
    words[words.index('--output') : words.index('-out') + 1] = ['--output=-out']
    with faults(ROW):
        command = server.start(words, cwd=str(tmp_path))
        assert command.wait() == 0, command.printed()
        assert tree(tmp_path / '-out') == undisturbed
