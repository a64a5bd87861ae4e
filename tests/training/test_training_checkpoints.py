"""Checkpoints without TensorFlow: what counts as whole, what is kept, what is said of a damaged one."""

import os

import pytest

from functions.setting import setting_utils as su
from functions.setting.checkpoint_records import record_problem
from functions.setting.errors import InputError, MissingFileError
from functions.training.checkpoints import Checkpoints


class Saver:
    """Writes two files as TensorFlow's saver names them."""

    def save(self, session, prefix, global_step, **options):
        del options
        path = f'{prefix}-{global_step}'
        for ending in ('.index', '.data-00000-of-00001'):
            with open(path + ending, 'wb') as stream:
                stream.write(f'{session}{global_step}'.encode())
        return path


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('functions.training.checkpoints.KEPT', 2)
    return Checkpoints(su.initialize_setting('tiny', where_to_run='Root'))


def save(checkpoints, steps, best=None):
    for step in steps:
        state = {'iteration': step, 'best': {'step': best} if best else {}}
        checkpoints.save('weights', Saver(), step, state)


def test_newest_ones_and_the_best_one_are_kept_and_nothing_else(checkpoints):
    save(checkpoints, [10, 20, 30, 40, 50], best=20)
    assert checkpoints.steps() == [20, 40, 50]
    assert checkpoints.path('Best').endswith('-20') and checkpoints.newest() == 50
    names = os.listdir(os.path.dirname(checkpoints.prefix))
    assert {int(name.split('-')[1].split('.')[0]) for name in names} == {20, 40, 50}


def test_best_falls_back_to_the_newest_when_it_is_damaged(checkpoints):
    save(checkpoints, [10, 20, 30], best=10)
    with open(f'{checkpoints.prefix}-10.index', 'wb') as stream:
        stream.write(b'other')
    assert checkpoints.path('Best').endswith('-30')


@pytest.mark.parametrize(
    'damage, word',
    [
        (lambda prefix: os.remove(prefix + '-20.index'), 'is missing'),
        (lambda prefix: open(prefix + '-20.index', 'wb').close(), 'not what was written'),
        (lambda prefix: open(prefix + '-20.json', 'wb').close(), 'not valid JSON'),
    ],
)
def test_damage_is_named_and_passed_over(checkpoints, damage, word):
    save(checkpoints, [10, 20])
    damage(checkpoints.prefix)
    assert word in record_problem(checkpoints.prefix + '-20.json')
    assert checkpoints.newest() == 10
    with pytest.raises(InputError, match='cannot be restored'):
        checkpoints.path(20)


def test_step_that_does_not_exist_is_refused_with_those_there_are(checkpoints):
    with pytest.raises(InputError, match='train first'):
        checkpoints.path(10)
    with pytest.raises(MissingFileError, match='no checkpoint that can be used'):
        checkpoints.path('Last')
    save(checkpoints, [10, 20])
    with pytest.raises(InputError, match='no checkpoint of step 15. Available: 10, 20'):
        checkpoints.path(15)


def test_other_settings_find_the_same_checkpoints(checkpoints):
    save(checkpoints, [10, 20, 30], best=20)
    setting = su.initialize_setting('other', where_to_run='Root')
    assert su.saved_steps(setting, 'tiny') == checkpoints.steps() == [20, 30]
    steps = [su.get_global_step(setting, name, 'tiny') for name in ('Last', 'Auto', 'Best', 20)]
    assert steps == ['30', '30', '20', '20']
    assert Checkpoints(setting, experiment='tiny').path(20) == checkpoints.path(20)


def test_what_is_found_out_later_is_added_to_the_record(checkpoints):
    save(checkpoints, [10, 20])
    checkpoints.update(20, {'iteration': 20, 'best': {'step': 20}})
    assert checkpoints.state(20)['best'] == {'step': 20} and record_problem(checkpoints.prefix + '-20.json') is None
    assert checkpoints.path('Best').endswith('-20')


def test_what_a_killed_saving_left_is_swept_and_nothing_else(checkpoints):
    save(checkpoints, [10])
    folder = os.path.dirname(checkpoints.prefix)
    before = sorted(os.listdir(folder))
    with open(checkpoints.prefix + '-20.data-00000-of-00001.tempstate12', 'w') as stream:
        stream.write('half')
    os.makedirs(checkpoints.prefix + '-20_temp_0a1b2c/part-00000')
    with open(checkpoints.prefix + '2-20.index', 'w') as stream:
        stream.write('of another one')
    checkpoints.sweep()
    other = os.path.basename(checkpoints.prefix) + '2-20.index'
    assert sorted(os.listdir(folder)) == sorted(before + [other])


def test_a_checkpoint_that_is_written_again_is_not_whole_meanwhile(checkpoints):
    save(checkpoints, [10])

    class Dying(Saver):
        def save(self, *arguments, **options):
            raise OSError('the disk is gone')

    with pytest.raises(OSError):
        checkpoints.save('weights', Dying(), 10, {'best': {}})
    assert checkpoints.steps() == []


def test_other_experiments_and_longer_names_are_not_mixed_up(checkpoints):
    save(checkpoints, [10])
    with open(checkpoints.prefix + '2-99.json', 'w') as stream:
        stream.write('{}')
    with open(checkpoints.prefix + '-100.data-00000-of-00001.tempstate1', 'w') as stream:
        stream.write('left by a crash')
    assert checkpoints.steps() == [10]
