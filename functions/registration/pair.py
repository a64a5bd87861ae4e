"""Registering a pair that the settings name: from addresses to results at addresses."""
import collections
import logging
import os

from functions.image.dvf import jacobian_determinant_of
from functions.image.masks import read_mask
from functions.image.volume_io import read_image, write_image
from functions.registration.model import TrainedNetwork, read_model_setting
from functions.registration.multi_stage import check_stages, register_images
from functions.setting import setting_utils as su
from functions.setting.atomic import write_json
from functions.setting.errors import InputError

LOGGER = logging.getLogger(__name__)

PairResult = collections.namedtuple('PairResult', 'fixed moving moved dvf jacobian fixed_lung seconds folder')
"""Images of a registered pair (SimpleITK), wall seconds of the registration, and the folder of its results."""


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
        for stage in setting['stage_list']:
            entry = setting.get('network_dict', {}).get('stage{}'.format(stage))
            if not entry or not entry.get('NetworkLoad'):
                raise InputError("setting 'network_dict' has no network for 'stage{}'; give {{'NetworkLoad': experiment}}.".format(stage))
            model_setting = read_model_setting(setting, entry['NetworkLoad'])
            if int(model_setting['stage']) != stage:
                raise InputError('The network {} was trained for stage {} and cannot be used at stage {}.'.format(
                    entry['NetworkLoad'], model_setting['stage'], stage))
            networks[stage] = TrainedNetwork(checkpoint_of(entry['NetworkLoad'], entry.get('GlobalStepLoad', 'Last')),
                                             model_setting, threads, setting.get('MaximumMemory'))
    except BaseException:
        for network in networks.values():
            network.close()
        raise
    return networks


def mask_to_zero(network):
    """Name of the mask ('Torso', 'Lung' or None) outside which the network's training images were set to the default value."""
    names = {experiment.get('MaskToZero') for experiment in network.setting.get('deform_exp', {}).values()}
    if len(names) != 1:
        raise InputError("The settings of the {} of stage {} do not say which mask it was trained with ('MaskToZero' of its "
                         'deformation experiments: {}).'.format(network.description.name, network.stage, sorted(map(str, names)) or 'none'))
    return names.pop()


def register_pair(setting, pair, networks):
    """Register a pair of the settings' data sets and write the results where their addresses say.

    Written: total DVF (``dvf_s0``), moved image (``MovedIm`` of stage 0), Jacobian determinant (``dvf_s0_jac``), and with
    ``WriteAfterEachStage`` the total DVF after every stage but the last (``dvf_s_up``); ``registration.json`` beside them.

    :param pair: [fixed, moving] im_info dictionaries (data, cn, type_im).
    :param networks: dictionary stage -> :class:`TrainedNetwork`.
    :return: :class:`PairResult`.
    """
    fixed_info, moving_info = pair
    stages = setting['stage_list']
    default = setting['data'][fixed_info['data']]['DefaultPixelValue']
    fixed, moving = (read_image(_address(setting, 'OriginalIm', info)) for info in pair)
    names = {mask_to_zero(networks[stage]) for stage in stages}
    if len(names) != 1:
        raise InputError('The networks of the stages {} were trained with different masks: {}.'.format(list(stages), sorted(map(str, names))))
    name = names.pop()
    fixed_mask = moving_mask = None
    if name is not None:
        fixed_mask = read_mask(_address(setting, 'Original' + name, fixed_info), like=fixed)
        moving_mask = read_mask(_address(setting, 'Original' + name, moving_info), like=moving)
    predict = {stage: (lambda m, f, network=networks[stage]: network.predict(m, f, default)) for stage in stages}
    result = register_images(fixed, moving, predict, stages, fixed_mask, moving_mask, default,
                             setting.get('Composition', 'exact'))
    jacobian = jacobian_determinant_of(result.dvf)

    def out(request, stage=0):
        return su.address_generator(setting, request, data=fixed_info['data'], pair_info=pair, stage=stage,
                                    stage_list=list(stages), base_reg=setting['BaseReg'],
                                    step=str(networks[stages[-1]].step))
    write_image(result.dvf, out('dvf_s0'))
    write_image(result.moved, out('MovedIm'))
    write_image(jacobian, out('dvf_s0_jac'))
    if setting.get('WriteAfterEachStage'):
        for stage in list(stages)[:-1]:
            write_image(result.stage_dvfs[stage], out('dvf_s_up', stage))
    folder = out('full_reg_folder')
    write_json(os.path.join(folder, 'registration.json'), {
        'pair': list(pair), 'stages': list(stages), 'seconds': result.seconds, 'MaskToZero': name,
        'networks': {str(stage): setting['network_dict']['stage{}'.format(stage)] for stage in stages}})
    lung = read_mask(_address(setting, 'OriginalLung', fixed_info), like=fixed)
    LOGGER.info('Results in %s', folder)
    return PairResult(fixed, moving, result.moved, result.dvf, jacobian, lung, result.seconds, folder)


def _address(setting, request, info):
    return su.address_generator(setting, request, data=info['data'], cn=info['cn'], type_im=info['type_im'], stage=1)
