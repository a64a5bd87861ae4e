"""Pairs of data sets: their files are read from, and their results written to, the addresses of the settings."""

import collections
import logging
import os

from ..elastix.parameter_files import PARAMETER_FOLDER
from ..elastix.registration import AFFINE_FILE
from ..image.manifest import record_file
from ..image.transforms import write_affine
from ..image.volume_io import read_image, write_image
from ..setting import setting_utils as su
from ..setting.addresses import pair_image_address, result_address
from ..setting.atomic import write_json
from ..setting.trained_models import read_model_setting
from .network_pyramid import Model, input_mask, network_entries, require_memory
from .pair_options import checked_options
from .pair_preparation import read_pair
from .single_pair import register

LOGGER = logging.getLogger(__name__)

PairResult = collections.namedtuple('PairResult', 'registration true_dvf folder')
"""``registration``: :class:`functions.registration.single_pair.Registration`; ``true_dvf``: the true field of a
synthetic pair, else None; ``folder``: of the results."""


def check_pairs(setting, pairs, model_settings):
    """Read the images and masks of every pair once, so that bad ones are reported before hours of training.

    :param pairs: list of pairs, see :func:`register_pair`.
    :param model_settings: see :func:`settings_of_networks`.
    :raises RegNetError: a missing or damaged image, masks on another grid, an empty mask, images that do not overlap,
        or a ``MaximumMemory`` that is too low for them.
    """
    mask_name = input_mask(model_settings)
    for pair in pairs:
        fixed, moving, masks = _inputs(setting, pair, mask_name)
        fixed, _ = read_pair(fixed, moving, checked_options(masks))
        for each in model_settings:
            require_memory(each, setting.get('MaximumMemory'), fixed.native, fixed.given.get(mask_name))


def settings_of_networks(setting):
    """Settings of the networks that a run registers with; of the one that it trains, if it does."""
    if su.trains(setting):
        return [setting]
    names = {entry['NetworkLoad'] for entry in network_entries(setting).values()}
    return [read_model_setting(setting, name) for name in names]


def register_pair(setting, pair, model, trained=True):
    """Register a pair of the settings' data sets and write the results to their addresses.

    Written: total DVF (``dvf_s0``), moved image (``MovedIm`` of stage 0), Jacobian determinant (``dvf_s0_jac``), with
    ``WriteAfterEachStage`` the DVF after every stage but the last (``dvf_s_up``, without the affine),
    ``registration.json`` and the settings; with a network of errors also ``error_map``
    (:meth:`functions.registration.expected_error.ErrorMap.layers` in the lungs). A synthetic pair has a folder of its
    own, named by its dsmooth.

    :param pair: [fixed, moving] im_info dictionaries (data, cn, type_im); two equal ones with a ``dsmooth`` are a
        synthetic pair: the artificially deformed image is the fixed one and the true DVF is known.
    :param model: :class:`functions.registration.network_pyramid.Model`, or dictionary stage -> opened network.
    :param trained: False: an implausible field is a warning, see :func:`functions.registration.register`.
    :return: :class:`PairResult`.
    """
    stages, is_affine = setting['stage_list'], _has_affine(setting, pair)
    model = model if isinstance(model, Model) else Model(model, stages)
    fixed, moving, masks = _inputs(setting, pair, model.mask)
    outside = setting['data'][pair[0]['data']]['DefaultPixelValue']
    options = dict(masks, affine='none', outside=outside, trained=trained, threads=setting.get('NumberOfThreads'))
    # Here the networks are measured, whatever they do.
    options.update(composition=setting.get('Composition', 'exact'), keep_all_stages=True)
    if is_affine:
        folder = su.address_generator(setting, 'BaseRegFolder', data=pair[0]['data'], pair_info=pair, base_reg='Affine')
        options.update(affine=None, affine_folder=folder, affine_mask=setting.get('Reg_Affine_Mask'))
        options.update(affine_parameters=_affine_parameters(setting))
    found = register(fixed, moving, model, stages, **options)
    if is_affine:
        write_affine(found.affine.transform, os.path.join(folder, 'affine.tfm'))
    step = str(found.settings['networks'][str(stages[-1])]['step'])

    def out(request, stage=0):
        return result_address(setting, request, pair, step, stage)

    written = [(found.dvf, out('dvf_s0')), (found.moved, out('MovedIm')), (found.jacobian, out('dvf_s0_jac'))]
    if setting.get('WriteAfterEachStage'):
        written += [(found.stage_dvfs[stage], out('dvf_s_up', stage)) for stage in dict.fromkeys(stages[:-1])]
    if found.error_map is not None:
        written.append((found.error_map.layers(found.lung), out('error_map')))
    for image, path in written:
        write_image(image, path)
    record = {'pair': list(pair), 'stages': list(stages), 'BaseReg': 'Affine' if is_affine else 'Identity'}
    record.update(seconds=found.total_seconds, seconds_of_steps=found.seconds, measures=found.measures)
    record.update(networks=found.settings['networks'], InputMask=found.settings['input_mask'])
    record.update({key: found.settings[key] for key in ('error_map', 'symmetric')})
    record['outputs'] = [record_file(path) for _, path in written]
    folder = out('full_reg_folder')
    write_json(os.path.join(folder, 'registration.json'), record)
    su.write_setting(setting, os.path.join(folder, 'setting.json'))
    LOGGER.info('Results in %s', folder)
    truth = read_image(pair_image_address(setting, 'DVF', pair, 0), expect='vector') if _is_synthetic(pair) else None
    return PairResult(found, truth, folder)


def _is_synthetic(pair):
    return 'dsmooth' in pair[0]


def _has_affine(setting, pair):
    return setting.get('BaseReg') == 'Affine' and not _is_synthetic(pair)


def _affine_parameters(setting):
    """elastix's parameter file: that of the settings' folder, else of the project."""
    name = setting.get('Reg_Affine_Parameter', os.path.basename(AFFINE_FILE))
    path = su.address_generator(setting, 'ParameterFolder') + name
    return path if os.path.isfile(path) else os.path.join(PARAMETER_FOLDER, os.path.basename(name))


def _inputs(setting, pair, mask_name):
    """(fixed image, moving image, masks as options of :func:`register`), all paths."""
    of_affine = setting.get('Reg_Affine_Mask') if _has_affine(setting, pair) else None
    masks = {
        f'{role}_{name.lower()}': pair_image_address(setting, name, pair, position)
        for position, role in enumerate(('fixed', 'moving'))
        for name in {mask_name, of_affine, None if position else 'Lung'} - {None}
    }
    return pair_image_address(setting, 'Im', pair, 0), pair_image_address(setting, 'Im', pair, 1), masks
