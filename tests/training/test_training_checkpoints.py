"""Checkpoints without TensorFlow: what counts as whole, what is kept, what is said of a damaged one."""
import os

import pytest

from functions.setting import setting_utils as su
from functions.setting.errors import InputError
from functions.training.checkpoints import Checkpoints


class Saver(object):
    """Writes two files as TensorFlow's saver names them."""

    def save(self, session, prefix, global_step, **options):
        del options
        path = '{}-{}'.format(prefix, global_step)
        for ending in ('.index', '.data-00000-of-00001'):
            with open(path + ending, 'wb') as stream:
                stream.write('{}{}'.format(session, global_step).encode())
        return path


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Checkpoints(su.initialize_setting('tiny', where_to_run='Root'), keep=2)


def save(checkpoints, steps, best=None):
    for step in steps:
        state = {'iteration': step, 'best': {'step': best} if best else {}}
        checkpoints.save('weights', Saver(), step, state)


def test_newest_ones_and_the_best_one_are_kept_and_nothing_else(checkpoints):
    save(checkpoints, [10, 20, 30, 40, 50], best=20)
    assert checkpoints.steps() == [20, 40, 50]
    assert checkpoints.best() == 20 and checkpoints.newest() == 50
    names = os.listdir(os.path.dirname(checkpoints.prefix))
    assert {int(name.split('-')[1].split('.')[0]) for name in names} == {20, 40, 50}


def test_best_falls_back_to_the_newest_when_it_is_damaged(checkpoints):
    save(checkpoints, [10, 20, 30], best=10)
    with open('{}-10.index'.format(checkpoints.prefix), 'wb') as stream:
        stream.write(b'other')
    assert checkpoints.best() == 30


@pytest.mark.parametrize('damage, word', [
    (lambda prefix: os.remove(prefix + '-20.index'), 'is missing'),
    (lambda prefix: open(prefix + '-20.index', 'wb').close(), 'not what was written'),
    (lambda prefix: open(prefix + '-20.json', 'wb').close(), 'not valid JSON'),
])
def test_damage_is_named_and_passed_over(checkpoints, damage, word):
    save(checkpoints, [10, 20])
    damage(checkpoints.prefix)
    assert word in checkpoints.problem(20)
    assert checkpoints.newest() == 10
    with pytest.raises(InputError, match='cannot be restored'):
        checkpoints.path(20)


def test_step_that_does_not_exist_is_refused_with_those_there_are(checkpoints):
    with pytest.raises(InputError, match='train first'):
        checkpoints.path(None)
    save(checkpoints, [10, 20])
    with pytest.raises(InputError, match='no checkpoint of step 15. Available: 10, 20'):
        checkpoints.path(15)


def test_other_experiments_and_longer_names_are_not_mixed_up(checkpoints):
    save(checkpoints, [10])
    with open(checkpoints.prefix + '2-99.json', 'w') as stream:
        stream.write('{}')
    with open(checkpoints.prefix + '-100.data-00000-of-00001.tempstate1', 'w') as stream:
        stream.write('left by a crash')
    assert checkpoints.steps() == [10]
