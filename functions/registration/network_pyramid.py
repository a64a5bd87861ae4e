"""Trained networks from the folders of their experiments, opened once and used for any number of pairs."""

import collections
import logging
import os

from functions.registration.data_set_pairs import input_mask
from functions.registration.mask_box import margins_of
from functions.registration.multi_stage import check_stages
from functions.registration.trained_network import TrainedNetwork, read_model_setting
from functions.setting import setting_utils as su
from functions.setting.atomic import read_json
from functions.setting.checkpoint_records import record_problem
from functions.setting.errors import InputError, MissingFileError
from functions.setting.schema import STAGE_LISTS

LOGGER = logging.getLogger(__name__)

#: Where the sets of trained networks are that come with the project.
SETS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'Experiments')
#: The one that is used when nobody names a model.
DEFAULT_SET = 'chest'

#: What the settings of a model must say about how it was trained; nothing of it is guessed.
REQUIRED = ('NetworkDesign', 'stage', 'normalization', 'DVFUnit', 'DownSampling', 'data', 'deform_exp')

NamedSet = collections.namedtuple('NamedSet', 'folders stages')
"""``folders``: dictionary stage -> folder; ``stages``: the passes it is meant to be used with."""


class Model:
    """The networks of a pyramid (a context manager; :meth:`close` gives their sessions back).

    :param networks: dictionary stage -> network with ``predict(moving, fixed, default)`` (mm), ``setting``
        and ``step``.
    :param stages: None: all stages there are, from coarse to fine.
    :ivar mask: 'Lung', 'Torso' or None: outside it the networks saw the default value in training.
    :ivar default: that value.
    :ivar margins: dictionary stage -> mm around the masks that its network was trained with (``InputMargin``);
        None when one of them saw whole images.
    :ivar folders: dictionary stage -> folder; empty for networks that were opened elsewhere.
    :raises InputError: stages without a network, or networks that were trained in ways that do not go
        together.
    """

    def __init__(self, networks, stages=None, folders=None):
        self.networks, self.folders = dict(networks), dict(folders or {})
        self.stages = sorted(self.networks, reverse=True) if stages is None else list(stages)
        check_stages(self.stages)
        missing = [stage for stage in self.stages if stage not in self.networks]
        if missing:
            raise InputError(
                'There is no network for stage {} (stages asked for: {}); there are networks for {}.'.format(
                    ', '.join(map(str, missing)), self.stages, ', '.join(map(str, sorted(self.networks))) or 'none'
                )
            )
        used = {stage: self.networks[stage] for stage in self.stages}
        for stage, network in used.items():
            check_model_setting(network.setting, self.folders.get(stage, f'The network of stage {stage}'), stage)
        self.mask = input_mask(used)
        self.default = _default_value(used)
        self.margins = margins_of(used, self.stages)

    def describe(self):
        """JSON-able description: per stage folder, step, design and intensity treatment."""
        keys = ('NetworkDesign', 'normalization', 'DVFUnit', 'DownSampling')
        return {
            str(stage): dict(
                {key: self.networks[stage].setting[key] for key in keys},
                step=self.networks[stage].step,
                folder=self.folders.get(stage),
            )
            for stage in self.stages
        }

    def close(self):
        """Give the sessions back."""
        for network in self.networks.values():
            network.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def open_model(model, stages=None, threads=None, memory=None):
    """Open and restore the networks of a pyramid.

    :param model: the folder of an experiment (``Experiments/RegNet/my_experiment``), a list of such folders,
        one per stage, a dictionary stage -> folder, or the name of a set that comes with the project.
    :param stages: stages to be used; None: as the set says, else all that ``model`` has.
    :param threads: TensorFlow threads, None for all cores.
    :param memory: bytes one forward pass may use; None takes half of what is free, on a CPU 5 GB at most.
    :return: :class:`Model`.
    :raises MissingFileError, InputError: a folder without settings or weights, settings that do not say how
        the network was trained, a network of another stage.
    """
    if isinstance(model, (list, tuple)) and len(model) == 1:
        model = model[0]  # as command lines give it; it may be the name of a set
    if isinstance(model, str) and not os.path.isdir(model):
        shipped = named_set(model)
        if shipped is not None:
            model, stages = shipped.folders, shipped.stages if stages is None else stages
    folders = _folders(model)
    if stages is not None:
        check_stages(stages)
        folders = {stage: folder for stage, folder in folders.items() if stage in stages}
    networks = {}
    try:
        for stage, folder in sorted(folders.items(), reverse=True):
            networks[stage] = _open_network(folder, stage, threads, memory)
        return Model(networks, stages, folders)
    except BaseException:
        for network in networks.values():
            network.close()
        raise


def trained_models(root):
    """Folders below ``root`` that hold a trained network: dictionary stage -> list of folders."""
    found = {}
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        folder = os.path.join(root, name)
        if os.path.isdir(folder) and su.saved_steps(*su.address_of_folder(folder), recorded=True):
            try:
                found.setdefault(_stage_of(folder), []).append(folder)
            except (InputError, MissingFileError) as error:
                LOGGER.debug('%s', error)
    return found


def check_model_setting(setting, name, stage):
    """Raise :class:`InputError` unless the settings of a model say what registration must know, for this
    stage."""
    missing = [key for key in REQUIRED if key not in setting]
    if missing:
        raise InputError(
            '{}: its settings do not say {}; without that the images cannot be prepared as in '
            'its training. Add the '
            'missing lines to the newest setting<k>.txt of its train/Model folder.'.format(
                name, ', '.join(map(repr, missing))
            )
        )
    if setting['DownSampling'] != 'bspline':
        raise InputError(
            "{} was trained with DownSampling {!r}; accepted: 'bspline'.".format(name, setting['DownSampling'])
        )
    if int(setting['stage']) != stage:
        raise InputError(
            '{} was trained for stage {} and cannot be used at stage {}.'.format(name, setting['stage'], stage)
        )


def named_set(name):
    """A set of networks that comes with the project, ``Experiments/<name>.json``.

    :return: :class:`NamedSet`, or None where there is no such set.
    """
    path = os.path.join(SETS, f'{name}.json')
    if os.path.basename(str(name)) != name or not os.path.isfile(path):
        return None
    content = read_json(path)
    return NamedSet(
        {int(stage): os.path.join(SETS, folder) for stage, folder in content['networks'].items()}, content['stages']
    )


def _folders(model):
    """Dictionary stage -> folder."""
    if isinstance(model, dict):
        for stage in model:
            if [stage] not in STAGE_LISTS:
                raise InputError(f'A model for stage {stage!r} is not possible; accepted: 4, 2, 1.')
        return {stage: os.fspath(folder) for stage, folder in model.items()}
    folders = {}
    for folder in model if isinstance(model, (list, tuple)) else [model]:
        folder = os.fspath(folder)
        stage = _stage_of(folder)
        if stage in folders:
            raise InputError(f'{folders[stage]} and {folder} were both trained for stage {stage}; give one of them.')
        folders[stage] = folder
    return folders


def _settings_of(folder):
    if not os.path.isdir(folder):
        raise MissingFileError(
            f'The model folder {folder} does not exist; give the folder of a trained '
            'experiment, such as '
            'Experiments/RegNet/my_experiment.'
        )
    return read_model_setting(*su.address_of_folder(folder))


def _stage_of(folder):
    setting = _settings_of(folder)
    if [setting.get('stage')] not in STAGE_LISTS:
        raise InputError('{}: its settings name stage {!r}; accepted: 4, 2, 1.'.format(folder, setting.get('stage')))
    return setting['stage']


def _open_network(folder, stage, threads, memory):
    setting = _settings_of(folder)
    check_model_setting(setting, folder, stage)
    return TrainedNetwork(_newest_checkpoint(folder), setting, threads, memory, setting.get('XLA', False))


def _newest_checkpoint(folder):
    """TensorFlow's path prefix of the newest whole checkpoint."""
    setting, experiment = su.address_of_folder(folder)
    problems = []
    for step in reversed(su.saved_steps(setting, experiment, recorded=True)):
        problem = record_problem(
            su.address_generator(setting, 'saved_state_with_step', step=str(step), current_experiment=experiment)
        )
        if problem is None:
            return su.address_generator(setting, 'saved_model_with_step', step=str(step), current_experiment=experiment)
        problems.append(f'step {step}: {problem}')
        LOGGER.warning(
            '%s, checkpoint of step %d cannot be used (%s); falling back to the one before.', folder, step, problem
        )
    raise MissingFileError(
        '{} holds no weights that can be used ({}); train it, or copy its folder again as a whole.'.format(
            folder, '; '.join(problems) or 'no checkpoint with its record in train/Model/Saved'
        )
    )


def _default_value(networks):
    """DefaultPixelValue of the data the networks were trained on."""
    values = {
        record.get('DefaultPixelValue') for network in networks.values() for record in network.setting['data'].values()
    }
    if len(values) != 1 or None in values:
        raise InputError(
            "The settings the networks were trained with do not name one 'DefaultPixelValue' of their data: {}.".format(
                ', '.join(sorted(map(str, values))) or 'none at all'
            )
        )
    return float(values.pop())
