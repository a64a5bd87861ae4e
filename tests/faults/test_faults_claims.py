"""Several processes at one folder, inputs as outputs, and results that are no longer what was written."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import SimpleITK as sitk
import small_training
from command_server import PATIENCE_S, REPOSITORY
from small_commands import pairs_words
from small_inputs import register_words, tree

from functions.image.claim import FOLDER_LOCK
from functions.setting.processes import host

pytestmark = pytest.mark.once

TOGETHER = 'several processes at one folder'
OVER = 'an output that is an input'
DAMAGED = 'results that are not what was written'


# ---- several processes


@pytest.mark.parametrize('step', [6, 25])
def test_the_second_of_two_registrations_is_refused_while_the_first_works(
    step, tmp_path, server, inputs, undisturbed, faults
):
    output = tmp_path / 'out'
    first = server.start(register_words(inputs, output), stop_at=step)
    first.wait_until_stopped()
    with faults(TOGETHER):
        second = server.start(register_words(inputs, output, '--overwrite'))
        assert second.wait() == 2
        assert str(output) in second.error() and f'in use by process {first.pid}' in second.error()
        assert first.go_on() == 0
        assert tree(output) == undisturbed


def test_of_eight_registrations_at_once_one_makes_the_results(tmp_path, server, inputs, undisturbed, faults):
    output = tmp_path / 'out'
    commands = [server.start(register_words(inputs, output)) for _ in range(8)]
    codes = [command.wait() for command in commands]
    made = [command for command in commands if 'Results in' in command.printed()]
    for command, code in zip(commands, codes):
        with faults(TOGETHER):
            assert code == 0 or 'in use by' in command.error()
    assert len(made) == 1 and codes[commands.index(made[0])] == 0
    assert tree(output) == undisturbed


def test_the_second_of_two_lists_is_refused_and_nothing_is_made_twice(tmp_path, server, inputs, undisturbed, faults):
    words = pairs_words(inputs, tmp_path, ['a', 'b'], '--keep_all_stages')
    first = server.start(words, stop_at=30)
    first.wait_until_stopped()
    with faults(TOGETHER):
        second = server.start(words)
        assert second.wait() == 2 and 'in use by' in second.error()
    with faults(TOGETHER):
        alone = server.start(register_words(inputs, tmp_path / 'cohort' / 'a', '--overwrite'))
        assert alone.wait() == 2 and 'in use by' in alone.error()
    assert first.go_on() == 0
    for name in 'ab':
        assert tree(tmp_path / 'cohort' / name) == undisturbed
    again = server.start(words)
    assert again.wait() == 0 and '0 pairs registered, 2 were done before' in again.printed()


@pytest.mark.parametrize('gone', ['cohort/a', 'cohort/a/moved.mha'])
def test_a_pair_that_is_removed_while_others_are_registered_has_failed(gone, tmp_path, server, inputs, faults):
    words = pairs_words(inputs, tmp_path, ['a', 'b'], '--keep_all_stages')
    first = server.start(words, stop_once=str(tmp_path / 'cohort' / 'pairs.json'))  # written after every pair
    first.wait_until_stopped()
    with faults('finished work removed while a command runs'):
        path = tmp_path / gone
        shutil.rmtree(str(path)) if path.is_dir() else path.unlink()
        assert first.go_on() == 2 and '1 of 2 pairs failed' in first.printed() and 'a' in first.printed()
        report = json.loads((tmp_path / 'cohort' / 'pairs.json').read_text())
        assert [row['state'] for row in report] == ['failed', 'done']


def test_the_second_of_two_trainings_is_refused_and_harms_nothing(tmp_path, server, faults):
    """Also one that begins anew: the checkpoints stay."""
    folder = str(tmp_path)
    first = server.start([folder, 'tiny'], target='small_training:main', stop_at=60)
    first.wait_until_stopped()
    before = tree(tmp_path)
    for options in ([], ['--fresh']):
        with faults(TOGETHER):
            second = server.start([folder, 'tiny'] + options, target='small_training:main')
            assert second.wait() == 2 and f'in use by process {first.pid}' in second.error()
            assert tree(tmp_path) == before
    assert first.go_on() == 0, first.printed()
    assert len(small_training.outcome(folder, 'tiny')['lines']) > small_training.ITERATIONS


def owner_of(output, server, inputs):
    """The lock of a registration that was killed, as a dictionary, and where it is."""
    command = server.start(register_words(inputs, output), kill_at=30)
    assert command.wait() == -9
    path = output / FOLDER_LOCK
    return json.loads(path.read_text()), path


def test_a_dead_owner_is_replaced(tmp_path, server, inputs, undisturbed, faults):
    """On this host at once, whatever the clock; of another host, or of this one before it started, by age."""
    output = tmp_path / 'out'
    owner, lock = owner_of(output, server, inputs)
    assert owner['host'] == host()
    boot = dict(owner, host=owner['host'].replace(owner['host'].split()[1], '0' * 8 + '-boot'), pid=os.getpid())
    cases = [(owner, 0, True), (owner, 10**6, True), (owner, -(10**6), True), (dict(owner, pid=os.getpid()), 0, True)]
    cases += [(dict(owner, host='elsewhere', pid=1), age, taken) for age, taken in ((0, False), (300, False))]
    cases += [(dict(owner, host='elsewhere', pid=1), age, True) for age in (700, -700, -(10**8))]
    cases += [(boot, 0, False), (boot, 700, True)]
    for content, age, taken in cases:
        output.mkdir(exist_ok=True)
        lock.write_text(json.dumps(content))
        then = time.time() - age
        os.utime(str(lock), (then, then))
        with faults(TOGETHER):
            command = server.start([str(output)], target='small_inputs:work_in')
            assert command.wait() == (0 if taken else 2), command.printed()
            assert taken or 'counts as gone after 600 s' in command.error()
    assert not lock.exists()
    assert server.start(register_words(inputs, output)).wait() == 0
    assert tree(output) == undisturbed  # with drafts of this host gone
    lock.write_text(json.dumps(owner))
    with faults(TOGETHER):
        again = server.start(register_words(inputs, output))
        assert again.wait() == 0 and 'nothing was done' in again.printed()
        assert tree(output) == undisturbed and not lock.exists()


HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
from functions.image.claim import claim_folder
from functions.setting.atomic import publish
from functions.setting.errors import DiskError
try:
    with claim_folder(sys.argv[2]), publish(sys.argv[2] + '/file.txt') as temporary:
        open(temporary, 'w').close()
        print('held', flush=True)
        sys.stdin.readline()
except DiskError as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize('inside', [True, False])
def test_a_namespace_of_process_numbers_is_another_host(inside, tmp_path, faults):
    """Inside and outside a container, the same number is another process: neither side takes the other for dead."""
    own = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
    try:
        subprocess.run(own + ['true'], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'a namespace of process numbers is not permitted here: {getattr(error, "stdout", b"") or error}')
    python = [sys.executable, '-c', HOLD, REPOSITORY, str(tmp_path)]
    commands = [own + python, python] if inside else [python, own + python]
    streams = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'universal_newlines': True}
    with faults(TOGETHER):
        holder = subprocess.Popen(commands[0], **streams)
        try:
            assert holder.stdout.readline() == 'held\n'
            names = sorted(os.listdir(str(tmp_path)))
            other = subprocess.run(commands[1], input='\n', stdout=subprocess.PIPE, text=True)
            assert f'{tmp_path} is in use by process' in other.stdout and 'counts as gone' in other.stdout
            assert sorted(os.listdir(str(tmp_path))) == names and len(names) == 2
        finally:
            holder.communicate('\n', timeout=PATIENCE_S)
        assert os.listdir(str(tmp_path)) == ['file.txt']


# ---- outputs that are inputs


def snapshot(folder):
    return {name: (os.stat(os.path.join(folder, name)).st_mtime_ns, name) for name in os.listdir(folder)}


def over_register(server, inputs, output):
    """Command lines that would write over what they read, and the file."""
    moved, link = str(output / 'moved.mha'), str(output.parent / 'link.mha')
    os.symlink(moved, link)
    os.symlink(str(output), str(output.parent / 'linked'))
    shutil.copy(str(output / 'displacement.mha'), str(output.parent / 'other.mha'))
    affine = str(output / 'affine.tfm')
    with open(affine, 'w') as stream:
        stream.write('#Insight Transform File V1.0\n')
    for scan, place in ((moved, output), (link, output), (moved, output.parent / 'linked')):
        yield register_words(inputs, place, '--overwrite', moving=scan), moved
    yield register_words(inputs, output, '--overwrite', '--affine', affine), affine
    yield (
        register_words(inputs, output, '--overwrite', '--fixed_torso', str(output / 'fixed_lung.nii.gz')),
        'fixed_lung',
    )
    folder = str(output.parent / 'list')
    os.mkdir(folder)
    words = pairs_words(inputs, folder, [output.name], '--overwrite')
    with open(words[1], 'a') as stream:
        stream.write(f'b,{moved},{moved},,\n')
    yield words[:3] + [str(output.parent)] + words[4:], moved
    shutil.move(words[1], str(output / 'pairs.json'))
    yield ['--pairs', str(output / 'pairs.json'), '--output', str(output)] + words[4:], 'pairs.json'


def test_no_registration_writes_over_what_it_reads(tmp_path, server, inputs, faults):
    output = tmp_path / 'out'
    assert server.start(register_words(inputs, output)).wait() == 0
    for words, named in over_register(server, inputs, output):
        before = snapshot(str(output))
        with faults(OVER):
            command = server.start(words)
            assert command.wait() == 2, command.printed()
            assert named in command.error() and 'would be replaced' in command.error()
            assert 'voxels in' not in command.printed()  # before the work
            assert snapshot(str(output)) == before


def test_nothing_is_applied_over_what_is_read(tmp_path, server, inputs, faults):
    output, scan = tmp_path / 'out', str(tmp_path / 'scan.mha')
    assert server.start(register_words(inputs, output)).wait() == 0
    sitk.WriteImage(sitk.ReadImage(os.path.join(inputs, 'moving.nii.gz')), scan)
    os.symlink(scan, str(tmp_path / 'link.mha'))
    os.symlink(str(output), str(tmp_path / 'linked'))
    before = tree(tmp_path)
    targets = [scan, str(tmp_path / 'link.mha'), str(output / 'displacement.mha'), str(tmp_path / 'linked/moved.mha')]
    for target in targets:
        with faults(OVER):
            command = server.start(['--apply', str(output), '--image', scan, '--output', target, '--overwrite'])
            assert command.wait() == 2 and 'would be replaced' in command.error()
            assert tree(tmp_path) == before


def test_own_images_and_exports_are_not_written_over_what_is_read(tmp_path, server, inputs, faults):
    setting = {'OwnDataSets': {'MyCT': {'cases': 2, 'types': ['scan']}}, 'DataFolder': str(tmp_path / 'Data') + '/'}
    from functions.setting import setting_utils as su

    address = su.address_generator(dict(su.initialize_setting('x', 'Root'), **setting), 'OriginalIm', data='MyCT', cn=2)
    os.makedirs(os.path.dirname(address))
    shutil.copy(os.path.join(inputs, 'fixed.nii.gz'), str(tmp_path / 'own.nii.gz'))
    sitk.WriteImage(sitk.ReadImage(os.path.join(inputs, 'fixed.nii.gz')), address)
    with open(address, 'rb') as stream:
        before = stream.read()
    setting.update(OwnImages={'MyCT': {'1': [address], '2': [str(tmp_path / 'own.nii.gz')]}})
    entry = {'data': 'MyCT', 'deform_exp': '3D_max20_D14_K', 'TrainingCNList': [1, 2], 'TrainingTypeImList': [0]}
    setting['DataExpDict'] = [dict(entry, TrainingDSmoothList=[0])]
    (tmp_path / 'own.json').write_text(json.dumps(setting))
    with faults(OVER):
        words = ['--setting', 'own.json', '--only_generate_image', '--where_to_run', 'Root']
        command = server.start(words, cwd=str(tmp_path))
        assert command.wait() == 2 and address in command.error() and 'would be replaced' in command.error()
        with open(address, 'rb') as stream:
            assert stream.read() == before
    model = os.path.join(inputs, 'Experiments', 'RegNet', 'tiny')
    os.symlink(model, str(tmp_path / 'linked'))
    (tmp_path / 'half').mkdir()
    os.symlink(os.path.join(model, 'train'), str(tmp_path / 'half' / 'train'))
    kept = tree(model)
    for target in ('linked', 'half'):
        with faults(OVER):
            command = server.start([model, str(tmp_path / target)], target='functions.training.export:main')
            assert command.wait() == 2 and 'Traceback' not in command.printed()
            assert tree(model) == kept


# ---- results that are not what was written


def flip(path, keep_time=False):
    """Change one byte in the middle."""
    status = os.stat(path)
    with open(path, 'r+b') as stream:
        stream.seek(status.st_size // 2)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 4]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + (0 if keep_time else 10**9)))


def cut(path):
    with open(path, 'r+b') as stream:
        stream.truncate(os.path.getsize(path) * 2 // 3)


def test_damaged_results_are_made_again(tmp_path, server, inputs, undisturbed, faults, is_long):
    output, damages = tmp_path / 'out', (cut, os.remove, flip)
    assert server.start(register_words(inputs, output)).wait() == 0
    # Without its record a folder is somebody's, and --overwrite is asked for.
    for number, name in enumerate(sorted(set(undisturbed) - {'results.json'})):
        for damage in damages if is_long else [damages[number % 3]]:
            with faults(DAMAGED):
                damage(str(output / name))
                code, printed = server.run(register_words(inputs, output))
                assert code == 0 and f'{name} ' in printed and 'registered again' in printed
                assert tree(output) == undisturbed


def test_a_byte_that_changed_without_a_trace_is_found_on_request(tmp_path, server, inputs, undisturbed, faults):
    output = tmp_path / 'out'
    assert server.start(register_words(inputs, output)).wait() == 0
    flip(str(output / 'jacobian.mha'), keep_time=True)
    with faults(DAMAGED):
        assert 'nothing was done' in server.run(register_words(inputs, output))[1]
        code, printed = server.run(register_words(inputs, output, '--verify'))
        assert code == 0 and 'jacobian.mha is not what was written' in printed
        assert tree(output) == undisturbed


def test_a_copy_is_as_good_and_its_times_are_learnt(tmp_path, server, inputs, undisturbed, faults):
    output, copied = tmp_path / 'out', tmp_path / 'copied'
    assert server.start(register_words(inputs, output)).wait() == 0
    shutil.copytree(str(output), str(copied), copy_function=shutil.copyfile)
    with faults(DAMAGED):
        assert 'nothing was done' in server.run(register_words(inputs, copied))[1]
        record = json.loads((copied / 'results.json').read_text())
        times = {entry['path']: entry['mtime_ns'] for entry in record['outputs']}
        assert times == {name: os.stat(str(copied / name)).st_mtime_ns for name in times} and len(times) == 6
        assert server.run(['rewrite', str(copied)], target='functions.elastix.__main__:main')[0] == 0
        assert str(copied) in (copied / 'TransformParameters.0.txt').read_text()
        assert 'nothing was done' in server.run(register_words(inputs, copied, '--verify'))[1]


def test_a_field_that_is_not_the_recorded_one_is_not_applied(tmp_path, server, inputs, faults):
    output, scan = tmp_path / 'out', os.path.join(inputs, 'moving.nii.gz')
    assert server.start(register_words(inputs, output, '--inverse')).wait() == 0
    for name, more in (('displacement.mha', ['--image', scan]), ('inverse.mha', ['--image', scan, '--inverse'])):
        with faults(DAMAGED):
            flip(str(output / name), keep_time=True)
            command = server.start(['--apply', str(output), '--output', str(tmp_path / 'moved.mha')] + more)
            assert command.wait() == 2 and f'{name} is not what was written' in command.error()
            assert not (tmp_path / 'moved.mha').exists()
    with faults(DAMAGED):
        command = server.start(['--report', str(output)])
        assert command.wait() == 2 and 'displacement.mha is not what was written' in command.error()
