"""Registering a pair that the settings name: from addresses to results at addresses."""

import collections
import logging
import os
import time

from functions.elastix.affine import register_affine
from functions.elastix.parameter_files import PARAMETER_FOLDER
from functions.elastix.registration import AFFINE_FILE
from functions.image.dvf import jacobian_determinant_of
from functions.image.masks import read_mask, require_nonempty
from functions.image.resample import resample_to, warp
from functions.image.transforms import total_dvf, write_affine
from functions.image.volume_io import Geometry, read_image, write_image
from functions.registration.mask_box import margins_of
from functions.registration.multi_stage import check_stages, register_images
from functions.registration.trained_network import TrainedNetwork, read_model_setting
from functions.setting import setting_utils as su
from functions.setting.addresses import result_address
from functions.setting.atomic import write_json
from functions.setting.errors import InputError

LOGGER = logging.getLogger(__name__)

PairImages = collections.namedtuple(
    'PairImages', 'fixed moving fixed_mask moving_mask fixed_lung true_dvf affine original'
)
"""What is registered (SimpleITK): images, masks outside which they are set to the default value (None without
one), the lung of the fixed image, and the true DVF of a synthetic pair (else None). ``moving`` and its mask
lie on the grid of ``fixed``, led there by ``affine`` (sitk.AffineTransform, None without one); ``original``
is the moving image as it was read."""

PairResult = collections.namedtuple('PairResult', 'images moved dvf jacobian seconds folder')
"""``images``: :class:`PairImages`; ``moved``, ``dvf``, ``jacobian``: what came out; wall seconds; folder of
the results."""


def check_pairs(setting, pairs, mask_name):
    """Read the images and masks of every pair once, so that a bad one is told before hours of training, not
    after.

    :raises RegNetError: a missing or damaged image, masks of another grid, an empty mask, images that do not
        overlap.
    """
    for pair in pairs:
        read_pair(setting, pair, mask_name)


def open_networks(setting, checkpoint_of, threads=None):
    """Restore one network per stage of ``setting['stage_list']``.

    :param setting: uses ``stage_list`` and ``network_dict``: 'stage<n>' -> {'NetworkLoad', 'GlobalStepLoad'}.
    :param checkpoint_of: function (experiment, step) -> TensorFlow's path prefix of a checkpoint.
    :return: dictionary stage -> :class:`TrainedNetwork`; the caller closes them.
    :raises InputError: a stage has no network, or its network was trained for another stage.
    """
    check_stages(setting['stage_list'])
    networks = {}
    try:
        for stage in dict.fromkeys(setting['stage_list']):  # a repeated stage needs one network
            entry = setting.get('network_dict', {}).get(f'stage{stage}')
            if not entry or not entry.get('NetworkLoad'):
                raise InputError(
                    f"setting 'network_dict' has no network for 'stage{stage}'; give {{'NetworkLoad': experiment}}."
                )
            model_setting = read_model_setting(setting, entry['NetworkLoad'])
            if int(model_setting['stage']) != stage:
                raise InputError(
                    'The network {} was trained for stage {} and cannot be used at stage {}.'.format(
                        entry['NetworkLoad'], model_setting['stage'], stage
                    )
                )
            checkpoint = checkpoint_of(entry['NetworkLoad'], entry.get('GlobalStepLoad', 'Last'))
            networks[stage] = TrainedNetwork(
                checkpoint, model_setting, threads, setting.get('MaximumMemory'), setting.get('XLA', False)
            )
    except BaseException:
        for network in networks.values():
            network.close()
        raise
    return networks


def input_mask(networks):
    """Name of the mask ('Torso', 'Lung' or None) outside which the networks saw the default value in
    training.

    It is ``InputMask`` of the settings they were trained with, or else ``MaskToZero`` of their deformation
    experiments.

    :raises InputError: the networks' settings do not say, or disagree.
    """
    names = set()
    for network in networks.values():
        experiments = network.setting.get('deform_exp', {}).values()
        names.update(
            [network.setting['InputMask']]
            if network.setting.get('InputMask')
            else [experiment.get('MaskToZero') for experiment in experiments]
        )
    if len(names) != 1:
        raise InputError(
            "The settings the networks were trained with do not name one mask ('InputMask', or "
            "'MaskToZero' of "
            'their deformation experiments): {}.'.format(', '.join(sorted(map(str, names))) or 'none at all')
        )
    return names.pop()


def read_pair(setting, pair, mask_name, with_affine=False):
    """The images of a pair at 1 mm.

    A moving image on another grid is resampled onto the fixed one's.

    :param with_affine: carry out the affine registration that ``BaseReg`` asks for.

    :param pair: [fixed, moving] im_info dictionaries (data, cn, type_im); two equal ones with a ``dsmooth``
        are a synthetic pair: the artificially deformed image is the fixed one and the true DVF is known.
    :param mask_name: 'Torso', 'Lung' or None.
    :return: :class:`PairImages`.
    """
    synthetic = 'dsmooth' in pair[0]

    def path(request, info):
        keys = (
            ('data', 'cn', 'type_im', 'deform_exp', 'dsmooth', 'deformed_im_ext')
            if synthetic
            else ('data', 'cn', 'type_im')
        )
        return su.address_generator(setting, request, stage=1, **{key: info[key] for key in keys if key in info})

    fixed_prefix, moving_prefix = ('Deformed', '') if synthetic else ('Original', 'Original')
    fixed = read_image(path(fixed_prefix + 'Im', pair[0]))
    moving = read_image(path(moving_prefix + 'Im', pair[1]))
    fixed_mask = moving_mask = None
    if mask_name is not None:
        fixed_mask = read_mask(path(fixed_prefix + mask_name, pair[0]), like=fixed)
        moving_mask = read_mask(path(moving_prefix + mask_name, pair[1]), like=moving)
    affine, original, grid = None, moving, Geometry.of(fixed)
    if setting.get('BaseReg') == 'Affine' and not synthetic:
        inside = [None, None]
        if setting.get('Reg_Affine_Mask'):
            inside = [
                read_mask(path('Original' + setting['Reg_Affine_Mask'], info), like=image)
                for info, image in zip(pair, (fixed, moving))
            ]
        affine = _affine(setting, pair, fixed, moving, inside) if with_affine else None
    if affine is not None or not grid.matches(Geometry.of(moving)):
        # Two scans of a person seldom share their grid; the DVF stays one from fixed to moving in
        # physical space.
        default = setting['data'][pair[1]['data']]['DefaultPixelValue']
        moving = resample_to(moving, grid, 'bspline', default, transform=affine)
        if moving_mask is not None:
            moving_mask = resample_to(moving_mask, grid, 'nearest', 0, transform=affine)
            require_nonempty(
                moving_mask,
                '{}: the moving image does not overlap the fixed one; its {} mask on the fixed grid'.format(
                    path(moving_prefix + 'Im', pair[1]), mask_name
                ),
            )
    lung = read_mask(path(fixed_prefix + 'Lung', pair[0]), like=fixed)
    truth = read_image(path('DeformedDVF', pair[0]), expect='vector') if synthetic else None
    return PairImages(fixed, moving, fixed_mask, moving_mask, lung, truth, affine, original)


def _affine(setting, pair, fixed, moving, masks):
    """The affine registration of a pair, by elastix where there is one; its files lie in
    ``BaseRegFolder``."""
    folder = su.address_generator(setting, 'BaseRegFolder', data=pair[0]['data'], pair_info=pair, base_reg='Affine')
    parameters = su.address_generator(setting, 'ParameterFolder') + setting.get(
        'Reg_Affine_Parameter', os.path.basename(AFFINE_FILE)
    )
    if not os.path.isfile(parameters):
        parameters = os.path.join(PARAMETER_FOLDER, os.path.basename(parameters))
    result = register_affine(
        fixed, moving, None, masks[0], masks[1], setting.get('NumberOfThreads'), folder, parameter_file=parameters
    )
    write_affine(result.transform, os.path.join(folder, 'affine.tfm'))
    return result.transform


def register_pair(setting, pair, networks):
    """Register a pair of the settings' data sets and write the results where their addresses say.

    With ``BaseReg`` 'Affine' an affine registration comes first; the DVF holds it as well, u(p) = A(p + v(p))
    - p. Written: total DVF (``dvf_s0``), moved image (``MovedIm`` of stage 0), Jacobian determinant
    (``dvf_s0_jac``), and with ``WriteAfterEachStage`` the DVF after every stage but the last (``dvf_s_up``,
    without the affine); ``registration.json`` beside them. A synthetic pair's results lie in a folder of
    their own, named by its dsmooth.

    :param pair: see :func:`read_pair`.
    :param networks: dictionary stage -> :class:`TrainedNetwork`.
    :return: :class:`PairResult`.
    """
    stages = list(setting['stage_list'])
    default = setting['data'][pair[0]['data']]['DefaultPixelValue']
    mask_name = input_mask(networks)
    images = read_pair(setting, pair, mask_name, with_affine=True)
    predict = {stage: (lambda m, f, network=networks[stage]: network.predict(m, f, default)) for stage in stages}
    start = time.time()
    result = register_images(
        images.fixed,
        images.moving,
        predict,
        stages,
        images.fixed_mask,
        images.moving_mask,
        default,
        setting.get('Composition', 'exact'),
        with_moved=False,
        margins=margins_of(networks, stages),
    )
    dvf = result.dvf if images.affine is None else total_dvf(images.affine, result.dvf)
    moved = warp(images.original, dvf, 'bspline', default)
    seconds = time.time() - start
    jacobian = jacobian_determinant_of(dvf)

    def out(request, stage=0):
        return result_address(setting, request, pair, str(networks[stages[-1]].step), stage)

    write_image(dvf, out('dvf_s0'))
    write_image(moved, out('MovedIm'))
    write_image(jacobian, out('dvf_s0_jac'))
    if setting.get('WriteAfterEachStage'):
        for stage in stages[:-1]:
            write_image(result.stage_dvfs[stage], out('dvf_s_up', stage))
    folder = out('full_reg_folder')
    write_json(
        os.path.join(folder, 'registration.json'),
        {
            'pair': list(pair),
            'stages': stages,
            'seconds': seconds,
            'InputMask': mask_name,
            'BaseReg': 'Identity' if images.affine is None else 'Affine',
            'networks': {str(stage): setting['network_dict'][f'stage{stage}'] for stage in stages},
        },
    )
    LOGGER.info('Results in %s', folder)
    return PairResult(images, moved, dvf, jacobian, seconds, folder)
