"""The trained networks of a pyramid, opened once and used for any number of pairs."""

import contextlib
from typing import Mapping, Optional, Sequence, Union

from ..image.geometry import Geometry
from ..network.description import NETWORKS, network_description
from ..setting.errors import InputError
from ..setting.kinds import choice, having, mapping_of, number, optional
from ..setting.schema import KEYS, MASK
from ..setting.text_files import require_shape
from ..setting.trained_models import (
    ERROR_MAP,
    checkpoint_path,
    experiment_folder,
    is_symmetric,
    networks_of,
    read_model_setting,
)
from ..tf_utils.sessions import xla_problem
from .mask_box import box_of
from .multi_stage import check_stages
from .tiling import choose_tiles, padded_shape
from .trained_network import TrainedNetwork

#: What the settings of a network must say about its training; none of it is guessed.
REQUIRED = ('NetworkDesign', 'stage', 'normalization', 'DVFUnit', 'DownSampling', 'data', 'deform_exp')
_KINDS = {key: KEYS[key].kind for key in REQUIRED}
_KINDS.update({key: optional(KEYS[key].kind) for key in ('InputMask', 'InputMargin', 'XLA')})
_KINDS['NetworkDesign'] = choice(*sorted(NETWORKS))
_KINDS['data'] = mapping_of(having(DefaultPixelValue=optional(number(-32768, 32767))))
_KINDS['deform_exp'] = mapping_of(having(MaskToZero=MASK))


class Model(contextlib.AbstractContextManager):
    """The networks of a pyramid (a context manager; :meth:`close` releases their sessions).

    :param networks: dictionary stage -> network with ``predict(moving, fixed, default)``, ``setting`` and ``step``;
        for symmetric passes ``predict_both_ways`` too, see :class:`.trained_network.TrainedNetwork`.
    :param stages: the passes; None: all stages there are, from coarse to fine.
    :param error_map: opened network that predicts the error of their results, or None.
    :param symmetric: whether every pass is the mean of its way there and back, unless a registration says otherwise.
    :ivar mask: 'Lung', 'Torso' or None: outside it the networks saw the default value in training.
    :ivar default: that value.
    :ivar margins: dictionary stage -> mm around the masks that its network was trained with (``InputMargin``); None
        when one of them saw whole images.
    :ivar folders: dictionary stage -> folder of its experiment; empty for networks opened elsewhere.
    :raises InputError: stages without a network, or networks whose trainings do not go together.
    """

    def __init__(self, networks, stages=None, folders=None, error_map=None, symmetric=False):
        self.networks, self.folders = dict(networks), dict(folders or {})
        self.stages = sorted(self.networks, reverse=True) if stages is None else list(stages)
        check_stages(self.stages, self.networks)
        settings = {stage: self.networks[stage].setting for stage in self.stages}
        for stage, setting in settings.items():
            check_model_setting(setting, self.folders.get(stage, f'The network of stage {stage}'), stage)
        self.mask, self.default = input_mask(settings.values()), _default_value(settings.values())
        margins = {stage: setting.get('InputMargin') for stage, setting in settings.items()}
        self.margins = None if None in margins.values() else margins
        self.error_map, self.symmetric = error_map, symmetric
        if error_map is not None and input_mask([error_map.setting]) != self.mask:
            raise InputError('The network of the error map was trained with another mask than the others.')

    def is_symmetric(self, symmetric=None, both_ways=False):
        """Whether every pass is the mean of its way there and back in a registration with these options.

        Registered both ways, each way is found alone by default, so that what lies between them tells of errors.
        """
        return self.symmetric and not both_ways if symmetric is None else symmetric

    def describe(self):
        """JSON-able description: folder, step, design and intensity treatment of every stage, and its precision where
        that is not float32."""
        keys, found = ('NetworkDesign', 'normalization', 'DVFUnit', 'DownSampling'), {}
        for stage in self.stages:
            network = self.networks[stage]
            found[str(stage)] = {key: network.setting[key] for key in keys}
            found[str(stage)].update(step=network.step, folder=self.folders.get(stage))
            if getattr(network, 'precision', 'float32') != 'float32':  # results of earlier versions count as done
                found[str(stage)]['precision'] = network.precision
        return found

    def describe_error_map(self):
        """JSON-able description of the network that predicts errors, or None."""
        network = self.error_map
        return network and {'NetworkDesign': network.description.name, 'stage': network.stage, 'step': network.step}

    def close(self):
        """Release the sessions."""
        for network in [*self.networks.values(), self.error_map]:
            if network is not None:
                network.close()

    def __exit__(self, *exception):
        self.close()


def open_model(
    model: Union[str, Sequence[str], Mapping[int, str]],
    stages: Optional[Sequence[int]] = None,
    threads: Optional[int] = None,
    memory: Optional[float] = None,
    precision: str = 'float32',
) -> Model:
    """Open and restore the networks of a pyramid.

    :param model: name of a set such as ``chest``, name or folder of an experiment (``Experiments/RegNet/mine``),
        a list of these with one experiment per stage, or a dictionary stage -> experiment.
    :param stages: the pyramid; None: as the set says, else every stage there is a network for.
    :param threads: TensorFlow threads, None for all cores.
    :param memory: bytes one forward pass may use; None: half of what is free, at most 5 GB on a CPU.
    :param precision: as for :class:`functions.registration.trained_network.TrainedNetwork`.
    :return: :class:`Model`.
    :raises MissingFileError, InputError: an experiment without settings or weights, settings that do not say how the
        network was trained, a network of another stage, bfloat16 where it is not possible.
    """
    found = networks_of(model)
    entries = {stage: {'NetworkLoad': experiment} for stage, experiment in found.networks.items()}
    stages = found.stages if stages is None else stages
    errors = found.error_map and {'NetworkLoad': found.error_map}
    return _open({}, entries, stages, threads, memory, precision, errors, found.symmetric)


def open_networks(setting):
    """Open the networks that settings name in ``network_dict`` for their ``stage_list``, and the one of errors, as a
    :class:`Model`.
    """
    compute = setting.get('NumberOfThreads'), setting.get('MaximumMemory'), setting.get('Precision', 'float32')
    entries = network_entries(setting)
    more = setting['network_dict'].get(ERROR_MAP), is_symmetric(setting)
    return _open(setting, entries, setting['stage_list'], *compute, *more)


def network_entries(setting):
    """Dictionary stage -> entry of ``network_dict``, of the stages of ``stage_list``.

    :raises InputError: a stage has no network.
    """
    named = setting.get('network_dict') or {}
    entries = {stage: named.get(f'stage{stage}') for stage in setting['stage_list']}
    entries = {stage: entry for stage, entry in entries.items() if entry and entry.get('NetworkLoad')}
    check_stages(setting['stage_list'], entries)
    return entries


def _open(setting, entries, stages, threads, memory, precision, error_map, symmetric):
    """:class:`Model` from a dictionary stage -> {'NetworkLoad': experiment, 'GlobalStepLoad': step}, and such an entry
    of the network of errors, or None.
    """
    check_stages(stages, entries)
    if setting.get('XLA') and xla_problem():
        raise InputError(xla_problem())
    networks, folders = {}, {}

    def open_network(entry, stage, predicts='dvf'):
        experiment, step = entry['NetworkLoad'], entry.get('GlobalStepLoad', 'Last')
        model_setting = read_model_setting(setting, experiment)
        check_model_setting(model_setting, experiment, stage, predicts)
        checkpoint = checkpoint_path(setting, step, experiment)
        # A network that was trained with XLA on a GPU is used without it on a CPU.
        xla = setting.get('XLA') or 'XLA' not in setting and model_setting.get('XLA') and not xla_problem()
        used = precision if predicts == 'dvf' else 'float32'
        return opened.enter_context(TrainedNetwork(checkpoint, model_setting, threads, memory, xla, used))

    with contextlib.ExitStack() as opened:
        for stage in dict.fromkeys(stages):  # a repeated stage needs one network
            networks[stage] = open_network(entries[stage], stage)
            folders[stage] = experiment_folder(setting, entries[stage]['NetworkLoad'])
        errors = None if error_map is None else open_network(error_map, None, 'error')
        model = Model(networks, stages, folders, errors, symmetric)
        opened.pop_all()  # stay open with the model
        return model


def check_model_setting(setting, name, stage, predicts='dvf'):
    """Raise :class:`InputError` unless a network's settings say what registration must know, for this stage (None: for
    any) and for this purpose.
    """
    missing = ', '.join(repr(key) for key in REQUIRED if key not in setting)
    if missing:
        raise InputError(
            f'{name}: its settings do not say {missing}, so its images cannot be prepared as in training. Add the '
            'missing lines to the newest setting<k>.txt of its train/Model folder.'
        )
    require_shape(f'{name} (its settings)', setting, _KINDS)
    if network_description(setting['NetworkDesign']).predicts != predicts:
        kinds = {'dvf': 'fields', 'error': 'errors'}
        raise InputError(
            f'{name} ({setting["NetworkDesign"]}) does not predict {kinds[predicts]}; name another network.'
        )
    if stage is not None and setting['stage'] != stage:
        raise InputError(f'{name} was trained for stage {setting["stage"]} and cannot be used at stage {stage}.')


def require_memory(model_setting, memory, fixed, mask):
    """Raise :class:`InputError` where a network cannot even predict the part of the fixed image around its mask.

    A registration predicts at least that; so a limit that is too low is known before the work.

    :param memory: bytes one forward pass may use; None: no limit was given.
    :param fixed: image at 1 mm; ``mask``: a mask on its grid, or None.
    """
    if memory is None:
        return
    description, margin = network_description(model_setting['NetworkDesign']), model_setting.get('InputMargin')
    grid = Geometry.of(fixed) if mask is None or margin is None else box_of([mask], margin)
    shape = [side // model_setting['stage'] for side in grid.shape]
    choose_tiles(description, padded_shape(description, shape), memory)


def input_mask(settings):
    """Name of the mask ('Torso', 'Lung' or None) outside which networks saw the default value in training.

    :param settings: the settings of their trainings; ``InputMask`` counts, else ``MaskToZero`` of ``deform_exp``.
    :raises InputError: the settings do not say, or disagree.
    """
    names = set()
    for setting in settings:
        experiments = setting.get('deform_exp', {}).values()
        names.update([setting['InputMask']] if setting.get('InputMask') else [e.get('MaskToZero') for e in experiments])
    return _one_of(names, "mask ('InputMask', or 'MaskToZero' of their deformation experiments)")


def _default_value(settings):
    """DefaultPixelValue of the data the networks were trained on."""
    values = {record.get('DefaultPixelValue') for setting in settings for record in setting['data'].values()}
    return float(_one_of(values if None not in values else set(), "'DefaultPixelValue' of their data"))


def _one_of(values, what):
    if len(values) != 1:
        found = ', '.join(sorted(map(str, values))) or 'none'
        raise InputError(f'The settings the networks were trained with must name one {what}; they name {found}.')
    return values.pop()
