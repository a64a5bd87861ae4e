"""Items made by other processes: the same samples whatever their number, deaths noticed, nothing left behind."""

import functools
import json
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
from reading_fakes import a_setting, failing, fatal, im_infos, make_item, same_batch

from functions.artificial_generation.training_item import ItemAfterPasses
from functions.phantom.phantom import make_cases
from functions.reading import memory_estimate
from functions.reading.chunk_image import Images
from functions.reading.closable_queue import ReaderFailure
from functions.reading.items_ahead import AHEAD, ItemsAhead
from functions.reading.reader_options import read_options
from functions.reading.train_queue import TrainingQueue
from functions.setting import setting_utils as su
from functions.setting.artificial_generation_setting import get_deform_exp
from functions.setting.errors import InputError

WAIT_S = 120  # far more than anything here takes; only a hang reaches it


def on_the_fly(n_workers, **changes):
    return a_setting(OnTheFly=True, NumberOfWorkers=n_workers, **changes)


def served(setting, count, n=7, make_item=make_item, **more):
    """The first batches of a queue."""
    with TrainingQueue(setting, im_info_list_full=im_infos(n), make_item=make_item, **more) as queue:
        return [queue.get(WAIT_S) for _ in range(count)]


@pytest.mark.parametrize(
    'n_workers, n, changes', [(1, 3, {'LeadIn': True}), (2, 7, {'LeadIn': True}), (8, 7, {'FullImage': True})]
)
def test_any_number_of_workers_serves_the_same(n_workers, n, changes):
    reader = Images(on_the_fly(0, **changes), im_info_list_full=im_infos(n), make_item=make_item, lead_in=True)
    expected = [reader.next_batch() for _ in range(14)]
    found = served(on_the_fly(n_workers, **changes), 14, n)
    assert all(same_batch(one, other) for one, other in zip(found, expected))


@pytest.mark.parametrize('stop', [1, 8])
def test_a_restart_goes_on_exactly(stop):
    expected = served(on_the_fly(0, LeadIn=True), 12)
    position = json.loads(json.dumps(expected[stop].position))
    again = served(on_the_fly(1, LeadIn=True), 3, position=position)
    assert all(same_batch(one, other) for one, other in zip(again, expected[stop + 1 :]))


@pytest.fixture
def phantom(tmp_path):
    """A setting with a small phantom of its own."""
    setting = su.initialize_setting('test', where_to_run='Root')
    root = str(tmp_path) + '/'
    setting.update(RootFolder=root, DataFolder=root + 'Data/', Phantom={'Size': [64, 64, 64]}, OnTheFly=True)
    setting.update(stage=1, R=5, Ry=2, ClassBalanced=[200], InputMask='Lung', InputMargin=8, LeadIn=False)
    setting['NetworkTraining'] = {'NumberOfImagesPerChunk': 1, 'SamplesPerImage': 4, 'BatchSize': 4, 'MaxQueueSize': 2}
    experiment = get_deform_exp(setting, '3D_max20_D14_K')
    variety = {'Density': 1, 'Noise': [0, 20], 'MaskError': 1}
    setting['deform_exp'] = {'3D_max20_D14_K': dict(experiment, ScanVariety=variety)}
    make_cases(setting, [1], (0,), 1)
    return setting


def twice(fixed, moving, masks, dvf, stage, name):
    """Stands for passes of networks."""
    del stage, name
    return fixed + 9, moving - 7, masks, dvf + dvf


def test_generated_items_are_the_same_to_the_byte(phantom):
    infos = [{'data': 'Phantom_4D', 'type_im': 0, 'cn': 1, 'deform_exp': '3D_max20_D14_K', 'dsmooth': 5, 'stage': 1}]
    found = []
    for maker in (None, ItemAfterPasses(twice)):
        found.append(Images(phantom, im_info_list_full=infos, make_item=maker).next_batch())
        with TrainingQueue(dict(phantom, NumberOfWorkers=1), im_info_list_full=infos, make_item=maker) as queue:
            assert same_batch(queue.get(WAIT_S), found[-1])
    plain, passed = found
    assert np.array_equal(passed.dvf, 2 * plain.dvf) and plain.dvf.any()


def test_no_more_is_made_ahead_than_is_counted():
    asked = []
    ahead = ItemsAhead(make_item, 2, (asked.append(info) or info for info in im_infos(50)), lambda: None)
    try:
        for number, im_info in enumerate(im_infos(6)):
            assert ahead({}, im_info, False).im_info == im_info
            assert len(asked) == number + 2 * AHEAD
    finally:
        ahead.close()
    options = [read_options(on_the_fly(n), 'Training') for n in (0, 1, 2)]
    none, one, two = [memory_estimate.estimate([(50, 60, 70)], each).item for each in options]
    # An item being made, the original it is down-sampled from, and the items that wait.
    assert two - one == one - none > 50 * 60 * 70 * (64 + 16 * 4**3 + AHEAD * 18)
    with pytest.raises(InputError, match='NumberOfWorkers=2'):
        memory_estimate.require_memory(memory_estimate.estimate([(50, 60, 70)], options[2]), 0, options[2])


def test_workers_are_for_training_on_the_fly_only():
    assert read_options(on_the_fly(2), 'Training').n_workers == 2
    assert read_options(on_the_fly(2), 'Validation').n_workers == 0
    assert read_options(a_setting(NumberOfWorkers=2), 'Training').n_workers == 0


def test_an_item_whose_worker_died_is_made_again(tmp_path):
    expected = served(on_the_fly(0), 12)
    found = served(on_the_fly(2), 12, make_item=functools.partial(fatal, str(tmp_path), 1))
    assert all(same_batch(one, other) for one, other in zip(found, expected))
    assert os.listdir(str(tmp_path)) == ['0']


def test_a_second_death_is_an_error_with_the_name_of_the_item(tmp_path):
    with pytest.raises(ReaderFailure) as caught:
        served(on_the_fly(1), 30, make_item=functools.partial(fatal, str(tmp_path), 9))
    first = str(caught.value).splitlines()[0]
    assert '/cn4/' in first and 'ended unexpectedly 2 times' in first and 'fewer workers' in first
    # The second item ahead of case 4, case 4 itself, and case 4 alone.
    assert len(os.listdir(str(tmp_path))) <= 3


def test_a_failure_is_the_same_error():
    found = []
    for n_workers in (0, 1):
        with pytest.raises(ReaderFailure) as caught:
            served(on_the_fly(n_workers), 30, make_item=failing)
        found.append(str(caught.value))
    assert found[0].splitlines()[0] == found[1].splitlines()[0] and '/cn4/' in found[0].splitlines()[0]
    assert all('in failing' in text for text in found)


CHILD = """
import functools, sys
sys.path[:0] = {path!r}
from reading_fakes import a_setting, endless, im_infos
from functions.reading.train_queue import TrainingQueue
from functions.setting.signals import Signals
if __name__ == '__main__':
    setting = a_setting(OnTheFly=True, NumberOfWorkers=2)
    reading = dict(im_info_list_full=im_infos(7), make_item=functools.partial(endless, {pipe!r}))
    with Signals() as signals, TrainingQueue(setting, **reading) as queue:
        signals.tell(queue.interrupt)
        queue.get()
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='processes end with their parent on Linux')
@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM', 'SIGKILL'])
def test_workers_end_with_the_training_in_the_middle_of_an_item(tmp_path, name):
    here, pipe, script = os.path.dirname(os.path.abspath(__file__)), str(tmp_path / 'pipe'), tmp_path / 'child.py'
    script.write_text(CHILD.format(path=[here, os.path.dirname(os.path.dirname(here))], pipe=pipe))
    os.mkfifo(pipe)
    said = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def hear():
        """The next letter; none once all workers have ended."""
        assert select.select([said], [], [], WAIT_S)[0]
        return os.read(said, 1)

    child = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, start_new_session=True)
    assert hear() + hear() == b'xx'
    # Ctrl-C reaches every process of a terminal.
    (os.killpg if name == 'SIGINT' else os.kill)(child.pid, getattr(signal, name))
    printed = child.communicate(timeout=WAIT_S)[1].decode()
    assert hear() == b''
    os.close(said)
    if name == 'SIGKILL':
        assert child.returncode == -signal.SIGKILL
    else:
        # Joblib may warn after it of semaphores that it has swept.
        assert '\nfunctions.reading.closable_queue.Interrupted: ' in printed and printed.count('Traceback') == 1
