"""Batches: complete, independent of workers and order, in parts, surviving failures and kills."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

from functions.artificial_generation import batch, item_files, workers
from functions.artificial_generation.item_specification import ItemSpecification
from functions.artificial_generation.training_item import get_item
from functions.image import manifest
from functions.image.claim import claim
from functions.image.manifest import voxel_checksum
from functions.setting.atomic import publish, write_json
from functions.setting.errors import DiskError, InputError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def coarse(setting):
    """Seven small items at stage 2 (8 mm), two of them with a next image of their own."""
    setting['verbose'] = False
    setting['stage'] = 2
    setting['DataExpDict'][0]['TrainingDSmoothList'] = [0, 4, 9, 13, 18, 27]
    return setting


def tree(root):
    """Content of every image below a folder: relative path -> checksum of its voxels."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith('.mha'):
                assert not name.startswith('.'), 'temporary left: ' + path
                found[os.path.relpath(path, root)] = voxel_checksum(path)
            else:
                assert name.endswith('.json'), 'left over: ' + path
    return found


def read_bytes(path):
    with open(path, 'rb') as stream:
        return stream.read()


def moved(setting, folder):
    """The same setting with another root for what is made and the same data."""
    return dict(setting, RootFolder=str(folder) + '/')


def test_all_items_are_made_once_and_then_skipped(coarse):
    report = batch.generate_batch(coarse, n_workers=1)
    assert (len(report.made), len(report.skipped), report.failed, report.left) == (7, 0, [], [])
    for im_info in batch.list_items(coarse):
        assert item_files.check_item(ItemSpecification(coarse, im_info)) == (True, '')
    again = batch.generate_batch(coarse, n_workers=1)
    assert (again.made, len(again.skipped)) == ([], 7)
    assert '7 finished before' in str(again)


@pytest.mark.once
def test_workers_and_order_do_not_matter(coarse, tmp_path, monkeypatch):
    alone, together, backwards = [moved(coarse, tmp_path / name) for name in ('one', 'three', 'back')]
    batch.generate_batch(alone, n_workers=1)
    assert len(batch.generate_batch(together, n_workers=3).made) == 7
    items = batch.list_items
    monkeypatch.setattr(batch, 'list_items', lambda *arguments: items(*arguments)[::-1])
    batch.generate_batch(backwards, n_workers=1)
    expected = tree(alone['RootFolder'])
    assert len(expected) >= 7 * 5
    assert tree(together['RootFolder']) == tree(backwards['RootFolder']) == expected


def test_progress_shows_images_per_minute_and_time_left(coarse, capsys):
    batch.generate_batch(dict(coarse, verbose=True), n_workers=1)
    shown = capsys.readouterr().err
    assert 'Down-sampling originals' in shown and 'Artificial generation: 100%' in shown
    # tqdm: [time gone<time left, ...]
    assert re.search(r'7/7 .*<.*images/min', shown)
    capsys.readouterr()
    batch.generate_batch(coarse, n_workers=1)
    assert capsys.readouterr().err == ''


def test_parts_make_the_whole_without_overlap(coarse):
    items = list(range(11))
    parts = [batch.take_part(items, f'{k}/4') for k in range(1, 5)]
    assert sorted(sum(parts, [])) == items
    assert batch.take_part(items, None) == items and batch.take_part(items, (2, 4)) == parts[1]
    for wrong in ('0/4', '5/4', 'three', '3', (1, 2, 3)):
        with pytest.raises(InputError, match='3/8'):
            batch.take_part(items, wrong)
    reports = [batch.generate_batch(coarse, n_workers=1, part=(k, 2)) for k in (1, 2)]
    assert [len(report.made) for report in reports] == [4, 3]


@pytest.mark.once
@pytest.mark.parametrize('n_workers', [1, 2])
def test_one_failing_item_does_not_stop_the_rest(coarse, n_workers):
    coarse['DataExpDict'][0]['TrainingCNList'] = [1, 2]
    coarse['DataExpDict'][0]['TrainingDSmoothList'] = [0, 13]
    report = batch.generate_batch(coarse, train_modes=('Training',), n_workers=n_workers)
    assert (len(report.made), len(report.failed)) == (2, 2)
    name, reason = report.failed[0]
    assert 'case2' in name and 'case2_T00_RS1.mha does not exist' in reason
    assert 'FAILED' in str(report)


def test_damage_is_reported(coarse):
    batch.generate_batch(coarse, n_workers=1)
    item = ItemSpecification(coarse, batch.list_items(coarse)[1])
    with open(item.address('DeformedDVF'), 'r+b') as stream:
        stream.truncate(1000)
    report = batch.generate_batch(coarse, n_workers=1)
    assert len(report.skipped) == 6 and report.remade[0][0] == item.name
    assert 'DeformedDVF' in report.remade[0][1]


def test_damage_that_keeps_size_and_time_is_found_on_request(coarse):
    batch.generate_batch(coarse, n_workers=1)
    im_info = batch.list_items(coarse)[1]
    for request in ('DeformedDVF', 'NextIm'):
        path = ItemSpecification(coarse, im_info).address(request)
        status, content = os.stat(path), read_bytes(path)
        with open(path, 'r+b') as stream:
            stream.seek(status.st_size // 2)
            stream.write(bytes(255 - byte for byte in content[status.st_size // 2 :][:500]))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert batch.make_one(coarse, im_info) == ('skipped', '')
        # As in another process, which has not looked at the file before.
        manifest._known_checksums.clear()
        outcome, reason = batch.make_one(coarse, im_info, True)
        assert outcome == 'remade' and request in reason
        assert read_bytes(path) == content


def test_an_item_of_another_process_is_left_alone(coarse):
    items = batch.list_items(coarse)
    folder, name = os.path.split(item_files.manifest_path(ItemSpecification(coarse, items[2])))
    with claim(os.path.join(folder, '.' + name[:-5] + '.lock')) as ours:
        assert ours
        report = batch.generate_batch(coarse, n_workers=1)
    assert (len(report.made), len(report.left)) == (6, 1)
    assert len(batch.generate_batch(coarse, n_workers=1).made) == 1


def test_full_disk_stops_with_one_error_and_keeps_what_is_made(coarse, monkeypatch):
    write, count = manifest.write_image, [0]

    def full_after_nine(image, path, compress=False):
        count[0] += path.startswith(coarse['RootFolder'] + 'Elastix')
        if count[0] > 9:
            raise DiskError(f'Cannot write {path}: the disk is full.')
        write(image, path, compress)

    monkeypatch.setattr(manifest, 'write_image', full_after_nine)
    with pytest.raises(DiskError, match='disk is full'):
        batch.generate_batch(coarse, n_workers=1)
    assert count[0] == 10
    monkeypatch.undo()
    report = batch.generate_batch(coarse, n_workers=1)
    assert len(report.skipped) == 1 and len(report.made) == 6


def die(status):
    """A task whose process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def live(number):
    return 'made', str(number)


@pytest.mark.once
def test_a_dead_worker_costs_its_task_only():
    tasks = [(live, (0,)), (die, (0,)), (live, (2,)), (live, (3,)), (live, (4,))]
    results = dict(workers.run_tasks(tasks, 2, 'test', False))
    assert sorted(results) == [0, 1, 2, 3, 4]
    assert results[1][0] == 'failed' and 'ended unexpectedly' in results[1][1]
    assert [results[k] for k in (0, 2, 3, 4)] == [('made', str(k)) for k in (0, 2, 3, 4)]


def write_slowly(path):
    """A task that makes a file of many pieces under a temporary name."""
    with publish(path) as temporary, open(temporary, 'w') as stream:
        for number in range(500000):
            stream.write(f'{number} ')
    return 'made', path


@pytest.mark.once
def test_running_tasks_end_by_themselves_when_nobody_wants_the_rest(tmp_path):
    tasks = [(write_slowly, (str(tmp_path / f'{number}.txt'),)) for number in range(60)]
    results = workers.run_tasks(tasks, 2, 'test', False)
    for _ in range(3):
        next(results)
    results.close()
    made = os.listdir(str(tmp_path))
    assert 3 <= len(made) <= 12 and not [name for name in made if name.startswith('.')]
    assert all(read_bytes(str(tmp_path / name)).endswith(b' 499999 ') for name in made)


def test_default_number_of_workers_looks_at_memory(coarse, monkeypatch):
    specs = [ItemSpecification(coarse, im_info) for im_info in batch.list_items(coarse)]
    needed = workers.bytes_per_worker(specs)
    voxels = 70 * 60 * 80
    assert needed == pytest.approx(workers.BASE_BYTES + voxels * (64 / 8.0 + 16))
    monkeypatch.setattr(workers.joblib, 'cpu_count', lambda: 64)
    monkeypatch.setattr(workers, 'available_memory', lambda: 3.8 * needed)
    assert workers.default_workers(specs) == 3
    monkeypatch.setattr(workers, 'available_memory', lambda: 0)
    assert workers.default_workers(specs) == 1
    monkeypatch.undo()
    assert workers.available_memory() > 0


KILLED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from functions.artificial_generation.batch import generate_batch
if __name__ == '__main__':
    with open(sys.argv[2]) as stream:
        setting = json.load(stream)
    print(generate_batch(setting, n_workers=int(sys.argv[3])))
"""


def check_kills(coarse, tmp_path, seed, kills):
    """Kill process groups of batches at random moments; restarted, they give the tree of an undisturbed one."""
    undisturbed, killed = moved(coarse, tmp_path / 'undisturbed'), moved(coarse, tmp_path / 'killed')
    script = tmp_path / 'run.py'
    script.write_text(KILLED)
    commands = []
    for setting in (undisturbed, killed):
        settings_file = str(tmp_path / f'setting{len(commands)}.json')
        write_json(settings_file, setting)
        commands.append([sys.executable, str(script), REPOSITORY, settings_file, '2'])
    start = time.time()
    subprocess.run(commands[0], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    duration = time.time() - start
    expected = tree(undisturbed['RootFolder'])
    for share in np.random.RandomState(seed).uniform(0.3, 1.0, kills):
        process = subprocess.Popen(
            commands[1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=share * duration)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if all(item_files.check_item(ItemSpecification(killed, im_info))[0] for im_info in batch.list_items(killed)):
            # Nothing is left to interrupt: begin again.
            shutil.rmtree(killed['RootFolder'])
    output = subprocess.run(commands[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert output.returncode == 0 and b'0 failed, 0 left' in output.stdout, output.stdout.decode()
    assert tree(killed['RootFolder']) == expected


@pytest.mark.once
def test_killed_batches_end_with_the_same_tree(coarse, tmp_path):
    check_kills(coarse, tmp_path, 7, 2)


@pytest.mark.slow
def test_fifty_kills(coarse, tmp_path):
    check_kills(coarse, tmp_path, 8, 50)


@pytest.mark.once
def test_two_batches_at_once_give_one_correct_result(coarse, tmp_path):
    undisturbed, shared = moved(coarse, tmp_path / 'undisturbed'), moved(coarse, tmp_path / 'shared')
    batch.generate_batch(undisturbed, n_workers=1)
    script, settings_file = tmp_path / 'run.py', tmp_path / 'setting.json'
    script.write_text(KILLED)
    write_json(str(settings_file), shared)
    command = [sys.executable, str(script), REPOSITORY, str(settings_file), '1']
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    texts = [process.communicate(timeout=300)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert all(', 0 failed,' in text for text in texts), texts
    assert batch.generate_batch(shared, n_workers=1).failed == []
    assert tree(shared['RootFolder']) == tree(undisturbed['RootFolder'])


def test_generated_items_are_what_the_reader_gets(coarse):
    im_info = batch.list_items(coarse)[2]
    batch.generate_batch(coarse, n_workers=1, train_modes=('Training',))
    item = get_item(coarse, im_info)
    path = ItemSpecification(coarse, im_info).address('DeformedDVF')
    np.testing.assert_array_equal(item.dvf, sitk.GetArrayFromImage(sitk.ReadImage(path)))
