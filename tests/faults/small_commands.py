"""Commands on small data, each in a fresh folder, and what they must leave behind after a fault."""

import json
import os
import random
import shutil
import signal
import subprocess
import types
from unittest import mock

from small_inputs import register_words, tree

_BLOCK = 4096  # bytes of a disk
PATIENT = {'Size': [72, 64, 68], 'Landmarks': 30, 'LandmarksAllPhases': 10}


def list_of_pairs(inputs, folder, names):
    files = [os.path.join(inputs, name) for name in ('fixed.nii.gz', 'moving.nii.gz')]
    files += [os.path.join(inputs, name) for name in ('fixed_lung.nrrd', 'moving_lung.nrrd')]
    path = os.path.join(str(folder), 'pairs.csv')
    with open(path, 'w') as stream:
        stream.write('name,fixed,moving,fixed_lung,moving_lung\n')
        stream.writelines(','.join([name] + files) + '\n' for name in names)
    return path


def pairs_words(inputs, folder, names, *more):
    """The words of --pairs that register the pair of ``inputs`` under each of the names."""
    words = register_words(inputs, os.path.join(str(folder), 'cohort'), *more)
    return ['--pairs', list_of_pairs(inputs, folder, names)] + words[3 : words.index('--fixed_lung')] + list(more)


def small_run(folder, **more):
    """Settings of small phantoms below ``folder``."""
    os.makedirs(str(folder), exist_ok=True)
    setting = dict({'Phantom': PATIENT, 'NumberOfThreads': 1, 'InputMask': 'Lung', 'stage': 4}, **more)
    with open(os.path.join(str(folder), 'own.json'), 'w') as stream:
        json.dump(setting, stream)


def main_words(*words):
    return ['--where_to_run', 'Root', '--setting', 'own.json', *words]


PREPARE = main_words('--prepare', 'Phantom_4D', '--cases', '1', '--workers', '1')
GENERATE = main_words('--only_generate_image', '--workers', '1')
TRAINING = {'TrainingCNList': [1], 'TrainingTypeImList': [0], 'TrainingDSmoothList': [0, 5]}
ITEMS = [dict(TRAINING, data='Phantom_4D', deform_exp='3D_max20_D14_K', TrainingDeformedImExt=['Clean', 'Noise'])]


def copy_of(source, **settings):
    """A function that copies the folder ``source`` and writes the settings into the copy."""

    def prepare(folder):
        shutil.copytree(source, str(folder), copy_function=shutil.copy2)
        small_run(folder, **settings)

    return prepare


def left_behind(folder):
    """Hidden files and folders below ``folder``: temporaries, locks."""
    return [name for _, folders, names in os.walk(str(folder)) for name in folders + names if name.startswith('.')]


def moments(steps, count, is_long, first=1):
    """Numbers of the steps before which a command is killed: a seeded sample, or all."""
    every = range(first, steps + 1)
    return list(every) if is_long else sorted(random.Random(steps).sample(every, min(count, len(every))))


class Scenario:
    """A command that is disturbed in fresh folders below ``tmp_path``, and then run again.

    :param words: function folder -> the words of the command, which runs in that folder.
    :param prepare: function that makes a folder and fills it.
    :param found: what of a folder is compared with an undisturbed run.
    :param errors: lines of the error where it cannot write; None: any number.
    :param server, faults, is_long: the fixtures.
    """

    def __init__(self, fixtures, words, prepare=os.makedirs, target='RunRegNet3D:main', found=tree, errors=1):
        self._tmp_path, self._server, self._faults, self._is_long = fixtures
        self._errors = errors
        self._words, self._prepare, self._target, self._found = words, prepare, target, found
        whole = self.fresh('undisturbed')
        before = files_below(whole)
        command = self.start(whole)
        assert command.wait() == 0, command.printed()
        self.expected, self.steps = found(whole), command.steps()
        assert not left_behind(whole)
        self._largest = max(os.path.getsize(path) for path in files_below(whole) - before)
        self._all = sum(-(-os.path.getsize(path) // _BLOCK) * _BLOCK for path in files_below(whole))

    def fresh(self, name):
        folder = str(self._tmp_path / name)
        self._prepare(folder)
        return folder

    def start(self, folder, **how):
        return self._server.start(self._words(folder), target=self._target, cwd=folder, **how)

    def completes(self, folder, what):
        """Run again; the folder must hold what an undisturbed run leaves. It is removed then."""
        command = self.start(folder)
        assert command.wait() == 0, command.printed()
        found = self._found(folder)
        assert found == self.expected, (what, differences(found, self.expected))
        assert not left_behind(folder), what
        shutil.rmtree(folder)

    def kills(self, count, first=1):
        """SIGKILL before some of its steps."""
        for step in moments(self.steps, count, self._is_long, first):
            folder = self.fresh(f'killed{step}')
            with self._faults('SIGKILL at seeded moments'):
                assert self.start(folder, kill_at=step).wait() == -9
                self.completes(folder, step)

    def refusals(self, *gone):
        """A full disk, no right to write; the folders ``gone`` removed or replaced while it runs.

        Where no disk may be mounted, there is no room for the largest file.
        """
        disk = self._tmp_path / 'disk'
        disk.mkdir()
        if mount(disk, self._all - self._largest // 2):
            self._refused('full', bytes=self._largest - 1)
        else:
            try:
                self._refused('disk/full', lambda: mount(disk, '64m', 'remount'))
            finally:
                unmount(disk)
        self._refused('forbidden', powerless=True)
        for name in gone:
            for replaced in (False, True):
                self._goes(name, replaced)

    def _refused(self, why, mend=lambda: None, **how):
        folder = self.fresh(why)
        is_forbidden = 'powerless' in how
        with self._faults('full, read-only and forbidden places'):
            change_rights(folder, 0o500 if is_forbidden else 0o700)
            command = self.start(folder, **how)
            assert command.wait() == 2, command.printed()
            assert folder in command.error(self._errors)
            change_rights(folder, 0o700)
            mend()
            self.completes(folder, why)

    def _goes(self, name, replaced):
        folder = self.fresh(f'without {os.path.basename(name)}' + ' replaced' * replaced)
        command, path = self.start(folder, stop_at=self.steps // 2), os.path.join(folder, name)
        command.wait_until_stopped()
        with self._faults('folders removed or replaced while a command runs'):
            shutil.rmtree(path)
            if replaced:
                os.mkdir(path)
            if command.go_on() != 0:
                assert folder in command.error()
            self.completes(folder, name)

    def together(self, number):
        """Several at once: each ends well or is refused, and there is one result. Returns what they printed."""
        folder = self.fresh(f'{number} at once')
        with self._faults('several processes at one folder'):
            commands = [self.start(folder) for _ in range(number)]
            codes = [command.wait() for command in commands]
            assert 0 in codes
            for command, code in zip(commands, codes):
                assert code == 0 or (code == 2 and 'in use by' in command.error()), command.printed()
            self.completes(folder, number)
        return [command.printed() for command in commands]


def main_at_once(words):
    """RunRegNet3D with references that take no time, which tables and pages would show, and without pictures."""
    import RunRegNet3D
    from functions.elastix import registration
    from functions.evaluation import comparison_plots, references, registration_report
    from functions.setting.atomic import write_text

    read = registration.read_parameters
    registration.read_parameters = lambda path: dict(read(path), MaximumNumberOfIterations=2)
    sections = [types.SimpleNamespace(position=0.0)] * 3
    registration_report.SectionCells = mock.MagicMock(return_value=mock.MagicMock(sections=sections))
    registration_report.slice_viewer = lambda *_: ''
    registration_report.png_bytes = lambda *_: b'picture'
    comparison_plots._save = lambda _, path: write_text(path, 'picture')
    references.time = types.SimpleNamespace(time=lambda: 0.0)
    return RunRegNet3D.main(words)


def main_until_files(words):
    """RunRegNet3D with workers that make phantoms until their first file is to get its name, and then wait for ever.

    Each says so by a letter in the pipe that is the first word, which is open while it lives.
    """
    import RunRegNet3D
    from functions.phantom import phantom

    in_parallel = phantom.in_parallel
    phantom.in_parallel = lambda function, jobs, *how: in_parallel(
        _until_files, [(words[0], function, *job) for job in jobs], *how
    )
    return RunRegNet3D.main(words[1:])


def _until_files(pipe, function, *job):
    def wait(*_):
        with open(pipe, 'w') as stream:
            stream.write('x')
            stream.flush()
            while True:
                signal.pause()

    os.replace = wait
    return function(*job)


def mount(folder, size, *options):
    """Mount a small disk of ``size`` (bytes, or '64m') at a folder; returns why that is not permitted, '' if it is."""
    words = ['mount', '-t', 'tmpfs', '-o', ','.join([f'size={size}', *options]), 'tmpfs', str(folder)]
    try:
        subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError) as error:
        return f'mounting a disk is not permitted here: {getattr(error, "stdout", b"") or error}'
    return ''


def unmount(folder):
    subprocess.run(['umount', '-l', str(folder)], check=True)


def files_below(folder):
    return {os.path.join(place, name) for place, _, names in os.walk(folder) for name in names}


def differences(found, expected):
    """Of two dictionaries, for a message."""
    if not isinstance(found, dict):
        return found, expected
    return {
        name: (found.get(name), expected.get(name))
        for name in {**found, **expected}
        if found.get(name) != expected.get(name)
    }


def change_rights(folder, rights):
    for place, _, _ in os.walk(folder):
        os.chmod(place, rights)
