"""Settings that cannot be used: refused early, all problems at once, or they run to the end; names stay in place."""

import copy
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_inputs import REPOSITORY, tree

import functions.setting.setting_utils as su
import RunRegNet3D
from functions.artificial_generation.training_item import get_item
from functions.setting import schema
from functions.setting.artificial_generation_setting import DEFORM_KEYS, SCAN_VARIETY
from functions.setting.errors import InputError, RegNetError

pytestmark = pytest.mark.once

PROCESS = 'streams, memory and encoding of a process'
NUMBERS = 'numbers and options that cannot be meant'
MUTATED = 'mutated settings'
NAMES = 'names in settings that would leave their folder'
BAD_NAMES = ['../up', '..', '.', '', 'a/b', '/etc', 'a\\b', 'nul\0', 'line\nfeed', '\ud800', 'x' * 300, 'ä' * 150, '.x']


def own(**description):
    """Settings of an own data set of two cases that trains on the fly."""
    entry = {'data': 'Mine', 'deform_exp': '3D_max7_D14_K', 'TrainingDeformedImExt': ['Clean']}
    entry.update(TrainingCNList=[1, 2], TrainingTypeImList=[0], TrainingDSmoothList=[0])
    return {'OwnDataSets': {'Mine': dict({'types': ['scan'], 'cases': 2}, **description)}, 'DataExpDict': [entry]}


def named(place, name):
    """Changes of settings that have ``name`` at a place that becomes a part of a path."""
    if place == 'data set':
        return {'OwnDataSets': {name: {'types': ['scan']}}}
    if place in ('types', 'expPrefix', 'ext'):
        return own(**{place: [name] if place == 'types' else name})
    if place == 'deform_exp':
        return {'deform_exp': {name: {}}, 'DataExpDict': [dict(own()['DataExpDict'][0], deform_exp=name)]}
    return {place: [name] if place == 'SPREAD_Patients' else name}


PLACES = ['data set', 'types', 'expPrefix', 'ext', 'deform_exp', 'SPREAD_Patients', 'current_experiment', 'BaseReg']
PLACES += ['Reg_BSpline_Folder', 'Reg_Affine_Parameter']


@pytest.mark.parametrize('place', PLACES)
def test_a_name_is_a_name(place, faults):
    setting = su.load_registration_setting(su.initialize_setting('Mine', 'Root'), [4])
    for name in BAD_NAMES:
        good_part = place == 'current_experiment' and name == 'a/b'
        if (place == 'expPrefix' and not name) or good_part:
            continue  # Sub/Name, and no prefix
        changed = dict(copy.deepcopy(setting), **named(place, name))
        with faults(NAMES):
            assert su.find_problems(changed), name


@pytest.mark.parametrize('folder', ['../elsewhere', '{data_root}../up', 'nul\0', 'x' * 300])
def test_folders_of_own_data_sets_do_not_climb(folder, faults):
    setting = su.initialize_setting('Mine', 'Root')
    for description in ({'folder': folder}, {'addresses': {'OriginalIm': folder + '/{p}{ext}'}}):
        with faults(NAMES):
            assert su.find_problems(dict(setting, **own(**description)))


@pytest.mark.parametrize('name', ['../../up', '..', 'a\\b', 'nul\0'])
def test_addresses_refuse_what_was_not_checked(name, faults):
    setting = su.initialize_setting('Mine', 'Root')
    setting['deform_exp'] = {name: copy.deepcopy(su.load_setting_from_data_dict(setting, own()['DataExpDict'][:0]))}
    for request, arguments in [
        ('DFolder', {'deform_exp': name}),
        (
            'BaseRegFolder',
            {'base_reg': name, 'pair_info': [{'data': 'SPREAD', 'cn': 1, 'type_im': 0, 'spacing': 'RS1'}] * 2},
        ),
        ('log_folder', {'current_experiment': name}),
        (
            'DVFBSpline',
            {'bspline_folder': name, 'pair_info': [{'data': name, 'cn': 1, 'type_im': 0, 'spacing': 'RS1'}] * 2},
        ),
    ]:
        with faults(NAMES), pytest.raises(RegNetError):
            su.address_generator(setting, request, **arguments)


def test_the_command_writes_nothing_outside(tmp_path, server, faults, monkeypatch):
    changes = dict(own(types=['../../outside'], expPrefix='../'), current_experiment='../../outside')
    (tmp_path / 'root').mkdir()
    (tmp_path / 'settings.json').write_text(json.dumps(changes))
    before = tree(tmp_path)
    with faults(NAMES):
        words = ['-w', 'Root', '--setting', str(tmp_path / 'settings.json')]
        command = server.start(words, cwd=str(tmp_path / 'root'))
        assert command.wait() == 2 and 'Traceback' not in command.printed()
        assert 'current_experiment' in command.printed() and 'types is' in command.printed()
        assert tree(tmp_path) == before, os.listdir(str(tmp_path))


def shell(command, **environment):
    """Run a shell command in which $REGNET is the main script: (exit code, standard output, standard error)."""
    variables = dict(os.environ, REGNET=f'{sys.executable} {REPOSITORY}/RunRegNet3D.py', **environment)
    found = subprocess.run(['bash', '-c', command], capture_output=True, env=variables)
    texts = [stream.decode(errors='replace') for stream in (found.stdout, found.stderr)]
    assert 'Traceback' not in texts[1] and 'Exception' not in texts[1], texts[1]
    return (found.returncode, *texts)


@pytest.mark.parametrize(
    'command, code, text',
    [
        ('$REGNET --help | head -1; exit ${PIPESTATUS[0]}', 0, None),
        ('$REGNET --stage 3 2>&1 >/dev/null | head -1; exit ${PIPESTATUS[0]}', 2, None),
        ('$REGNET --help >/dev/full', 2, 'No space left on device'),
        ('$REGNET --stage 3 2>/dev/full', 2, None),
        ('$REGNET --stage 3 2>&-', 2, None),
        ('$REGNET --stage 3 >&- <&-', 2, 'stage is 3'),
        ('ulimit -v 100000; $REGNET --stage 3', 2, 'ulimit -v'),
        ('ulimit -v 2000000; $REGNET --stage 3', 2, 'ulimit -v'),
        ('LC_ALL=C REGNET_ROOT=/tmp/ä $REGNET --stage 3', 2, 'LC_ALL=C.UTF-8'),
        ("$REGNET --register $'\\xff.mha' b --output c", 2, 'is not text'),
    ],
)
def test_what_a_process_is_given(command, code, text, faults):
    with faults(PROCESS):
        found, _, error = shell(command, PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
        assert found == code and (text is None or text in error), error
        assert text is None or len(error.splitlines()) <= 2, error


def test_files_do_not_take_the_place_of_closed_streams(tmp_path, faults):
    code = (
        f'from functions.setting import console; console.prepare(); print(open({str(tmp_path / "a")!r}, "w").fileno())'
    )
    with faults(PROCESS):
        command = f"cd {REPOSITORY}; {sys.executable} -c '{code.replace(chr(39), chr(34))}' 0<&- 2>&-"
        assert int(shell(command)[1]) > 2


@pytest.mark.parametrize(
    'changes',
    [
        {'MaximumMemory': 1},
        {'NumberOfThreads': 10**6},
        {'Phantom': {'Size': [10**5] * 3}},
        {'NetworkTraining': {'MaxIterations': 10**30, 'MaxQueueSize': 10**30, 'LearningRate_Base': 1e30}},
        {'stage': 10**30, 'SizeUnit': 8 * 10**30, 'InputMargin': 1e30, 'VoxelSize': [1e30] * 3},
        {'OwnDataSets': {'Mine': {'types': ['scan'], 'cases': 10**30}}},
        {'DataExpDict': [dict(own()['DataExpDict'][0], data='Phantom_4D', TrainingDSmoothList=[10**30])]},
        {'network_dict': {'stage4': {'NetworkLoad': 'x', 'GlobalStepLoad': '9' * 5000}}},
        {'deform_exp': None},
        {'deform_exp': {'3D_max20_D14_K': None}},
        {'PassesBefore': {'networks': {'4': '../../x', '3': 'nul\0'}, 'stages': [4, 2]}},
    ],
)
def test_numbers_are_refused_before_the_work(changes, faults):
    with faults(NUMBERS):
        arguments = RunRegNet3D.parse_arguments(['--where_to_run', 'Root'])
        with pytest.raises(InputError) as caught:
            su.check_setting(RunRegNet3D.complete_setting(arguments, changes))
        for name in changes:
            named = {'OwnDataSets': 'cases', 'DataExpDict': 'TrainingDSmoothList'}.get(name, name)
            assert named in str(caught.value)
        assert len(str(caught.value)) < 2000


@pytest.mark.parametrize('option', ['--threads', '--workers', '--max_iterations'])
def test_options_are_refused_too(option, faults, capsys):
    for value in ('1' + '0' * 30, '1' * 5000, '0', '-1', 'x'):
        with faults(NUMBERS), pytest.raises(SystemExit):
            RunRegNet3D.main([option, value])
        assert len(capsys.readouterr().err) < 9000


def test_a_phantom_larger_than_memory_is_refused(tmp_path, monkeypatch, faults):
    from functions.phantom.phantom import make_case

    monkeypatch.chdir(tmp_path)
    with faults(NUMBERS), pytest.raises(InputError, match='2048x2048x2048 voxels needs about 558.3 GB'):
        make_case(su.initialize_setting('phantom', 'Root'), 1, size=(2048, 2048, 2048))
    assert not os.listdir(str(tmp_path))


def test_a_pair_is_not_called_like_our_own_files(tmp_path, faults):
    from functions.registration.pair_lists import read_pairs

    for name in ('pairs.json', 'pairs_2of12.json', 'x' * 300):
        (tmp_path / 'list.csv').write_text(f'name,fixed,moving\n{name},a,b\n')
        with faults(NAMES), pytest.raises(InputError, match='line 2'):
            read_pairs(tmp_path / 'list.csv')


TINY = {
    'where_to_run': 'Root',
    'current_experiment': 'tiny',
    'Phantom': {'Size': [64, 64, 64], 'Landmarks': 20, 'LandmarksAllPhases': 5},
    'DataExpDict': [
        {
            'data': 'Phantom_4D',
            'deform_exp': '3D_max7_D14_K',
            'TrainingCNList': [1],
            'TrainingTypeImList': [0],
            'TrainingDSmoothList': [0],
            'TrainingDeformedImExt': ['Clean', 'Sponge', 'Noise', 'Occluded'],
        }
    ],
    'OnTheFly': True,
}
_NUMBERS = st.sampled_from([0, 1, 2, 5, -1, 0.5, 1e-9, 30, 99.5, 1e6, 1e30, 10**30])
_ANY = st.one_of(_NUMBERS, st.none(), st.booleans(), st.sampled_from(['', 'x', '../x', 'Lung', 'Torso', [], {}, [[]]]))


def _varied(value):
    """Values like ``value``: its numbers changed, its lists of other lengths."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, dict)):
        return _ANY
    if isinstance(value, (list, tuple)):
        one = _varied(value[0]) if value else _ANY
        kept = st.lists(st.one_of(st.sampled_from(list(value)), one) if value else one, max_size=6)
        return st.one_of(one.map(lambda item: [item] * len(value)), kept)
    return st.one_of(_NUMBERS, st.sampled_from([0.1, 0.5, 2, 3, 10, 100]).map(lambda factor: value * factor))


def _mutations():
    """Strategy of (path, value): one change of the settings of an item and of its deformation experiment."""
    content = {name: key.default for name, key in DEFORM_KEYS.items()}
    variety = {key.name: key.default for key in SCAN_VARIETY}
    places = [((name,), value) for name, value in schema.defaults('General', 'Training').items()]
    places += [(('DataExpDict', 0, name), value) for name, value in TINY['DataExpDict'][0].items()]
    places += 3 * [(('deform_exp', '3D_max7_D14_K', name), value) for name, value in content.items()]
    places += 2 * [(('deform_exp', '3D_max7_D14_K', 'ScanVariety', name), value) for name, value in variety.items()]
    places += [(('DataExpDict', 0, 'TrainingDSmoothList'), list(range(14)))] * 3
    return st.sampled_from(places).flatmap(lambda place: st.tuples(st.just(place[0]), _varied(place[1])))


def _mutated(changes):
    """Settings of the tiny run with (path, value) in them, as from a settings file."""
    found = copy.deepcopy(TINY)
    for path, value in changes:
        target = found
        for step in path[:-1]:
            target = target[step] if isinstance(step, int) else target.setdefault(step, {})
            if not isinstance(target, (dict, list)):
                return found
        target[path[-1]] = value
    return found


@pytest.fixture(scope='module')
def phantom(tmp_path_factory):
    """A folder with the tiny phantom."""
    from functions.phantom.phantom import make_case

    folder, before = tmp_path_factory.mktemp('phantom'), os.getcwd()
    os.chdir(str(folder))
    make_case(dict(su.initialize_setting('tiny', 'Root'), Phantom=TINY['Phantom']), 1, (0,))
    yield folder
    os.chdir(before)


#: What depends on the images, beside the name of the item.
_OF_THE_IMAGE = 'The volume of 64 x 64 x 64 mm|identically zero|leaves nothing of the deformed lung'


def check_mutated(changes):
    """Settings are refused with all problems, or the item is made; returns whether it was."""
    arguments, file_content = RunRegNet3D.parse_arguments([]), json.loads(json.dumps(_mutated(changes)))
    try:
        setting = RunRegNet3D.complete_setting(arguments, file_content)
        su.check_setting(setting)
        su.require_originals(setting)
    except RegNetError:
        return False
    try:
        get_item(setting, su.get_im_info_list_from_train_mode(setting, 'Training')[0], write=False)
    except InputError as error:
        assert re.search(_OF_THE_IMAGE, str(error)), error
    return True


def test_what_a_reading_thread_or_process_refuses_is_one_sentence(phantom, tmp_path, server, faults):
    """No mixed frequencies fit into so small a volume."""
    changes = [(('stage',), 4), (('DataExpDict', 0, 'TrainingDSmoothList'), [9])]
    for workers in (0, 1):
        folder = str(tmp_path / str(workers))
        shutil.copytree(str(phantom), folder)
        with open(os.path.join(folder, 'own.json'), 'w') as stream:
            json.dump(dict(_mutated(changes), NumberOfWorkers=workers), stream)
        with faults(MUTATED):
            command = server.start(['--setting', 'own.json', '--max_iterations', '1', '--threads', '1'], cwd=folder)
            assert command.wait() == 2
            error = command.error()
            assert error.startswith('Phantom_4D/') and 'identically zero' in error


def test_mutated_settings_are_refused_early_or_run(phantom, tmp_path, server, faults, is_long):
    """What is accepted makes its item, and a sample trains a step with it."""
    accepted, refused = [], []

    @settings(
        max_examples=500 if is_long else 25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(_mutations(), min_size=1, max_size=3))
    def run(changes):
        with faults(MUTATED):
            (accepted if check_mutated(changes) else refused).append(changes)

    run()
    assert refused
    for number, changes in enumerate(random.Random(0).sample(accepted, min(len(accepted), 30 if is_long else 3))):
        folder = str(tmp_path / str(number))
        shutil.copytree(str(phantom), folder)
        with open(os.path.join(folder, 'own.json'), 'w') as stream:
            json.dump(_mutated(changes), stream)
        with faults(MUTATED):
            command = server.start(['--setting', 'own.json', '--max_iterations', '1', '--threads', '1'], cwd=folder)
            code = command.wait()
            assert code == 0 or re.search(_OF_THE_IMAGE, command.error()), (changes, command.printed())
            assert code or glob.glob(os.path.join(folder, 'Experiments', '**', '*-*.json'), recursive=True)
