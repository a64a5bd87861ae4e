"""``address_generator``: the one function that names files.

Requests and patterns are tables (:mod:`functions.setting.address_patterns`, records of
:mod:`functions.setting.data_sets`), filled by :mod:`functions.setting.address_fields`.
"""

import os
from typing import Any, Dict, Optional, Sequence, Union

from .address_fields import AddressFields
from .address_patterns import BY_DSMOOTH, PATTERNS
from .artificial_generation_setting import has_next_image
from .data_sets import get_data_set
from .errors import unknown_name


def address_requests(data, setting=None):
    """Every request that can be made for a data set, sorted."""
    return sorted({*PATTERNS, *get_data_set(data, setting).addresses, *BY_DSMOOTH})


# fmt: off
def address_generator(
    setting: Dict[str, Any], requested_address: str, data: Optional[str] = None, deform_exp: Optional[str] = None,
    type_im: int = 0, cn: int = 1, dsmooth: int = 0, stage: Optional[int] = None,
    stage_list: Optional[Sequence[int]] = None, current_experiment: Optional[str] = None,
    root_folder: Optional[str] = None, dvf_pad: Optional[int] = None, base_reg: Optional[str] = None,
    bspline_folder: Optional[str] = None, step: Union[int, str, None] = None, padto: Any = None,
    spacing: Optional[str] = None, deformed_im_ext: Union[str, Sequence[str], None] = None,
    pair_info: Optional[Sequence[Dict[str, Any]]] = None, im_list_info: Any = None,
    ishuffled_exp: Optional[int] = None, dvf_threshold_list: Any = None, plot_mode: Optional[str] = None,
    plot_itr: Optional[int] = None, plot_i: Optional[int] = None, train_mode: str = '', c: int = 0,
    semi_epoch: int = 0, chunk: int = 0, print_mode: bool = False, deform_method: Any = None,
    deform_number: Any = None,
) -> str:
    # fmt: on
    """Address of one file or folder, with ``/`` between its parts and at the end of a folder; nothing is made on disk.

    :param setting: the setting dictionary; it supplies what is left out (first data set and deformation experiment,
        stage, experiment, ``DVFPad_S<stage>``, ``BaseReg``, ``Reg_BSpline_Folder``, ``stage_list``).
    :param requested_address: a request, e.g. 'Im', 'DeformedDVF', 'saved_model'; :func:`address_requests` lists them.
    :param type_im: index into the types of the data set.
    :param cn, dsmooth: numbers of the case, from 1, and of its deformation, from 0.
    :param root_folder: another root; experiment and data roots that lie below the setting's root move along.
    :param padto: size the image is padded to, in the name only.
    :param spacing: 'RS1' (isotropic 1 mm) or 'Raw'.
    :param deformed_im_ext: augmentation sequence, e.g. ['Clean', 'Sponge', 'Noise'] (or text, used as it is).
    :param pair_info: [fixed, moving], dictionaries with data, cn, type_im (and spacing).
    :param step: global step of a checkpoint, number or text.
    :param print_mode: short name for a log instead of a path (artificial generation only).
    :param deform_method, deform_number: ignored, since they follow from dsmooth; a whole im_info can be passed.
    :return: the address, a string.
    :raises UnknownNameError: the data set, its request or the deformation experiment does not exist; lists the known.
    :raises InputError: an argument that the address needs is missing or out of range (a type, a class).
    """
    fields = AddressFields(setting, locals())
    if requested_address in BY_DSMOOTH:
        original = 'Original' + requested_address + ('Raw' if spacing == 'Raw' else '')
        has_next = has_next_image(setting, fields.deform_exp, fields['dsmooth'])
        requested_address = 'Next' + requested_address if has_next else original
    pattern = PATTERNS.get(requested_address) or fields.record.addresses.get(requested_address)
    if pattern is None:
        kind, accepted = f'address of data set {fields.record.key}', address_requests(fields.data, setting)
        raise unknown_name(kind, requested_address, accepted)
    if isinstance(pattern, tuple):
        fields.record.type_name(type_im)
        pattern = pattern[type_im]
    return pattern.format_map(fields)


def pair_image_address(setting, what, pair, position):
    """Address of an image of a pair ('Im'), its 'Lung' or 'Torso' mask, or the 'DVF' of a synthetic pair, at 1 mm.

    :param pair: [fixed, moving], dictionaries with data, cn, type_im; those of a synthetic pair also have dsmooth.
    :param position: 0 for the fixed, 1 for the moving image.
    """
    keys, prefix = ['data', 'cn', 'type_im'], 'Original'
    if 'dsmooth' in pair[0]:
        # The moving image of a synthetic pair is the one that was deformed: an original, or made from one.
        keys, prefix = keys + ['deform_exp', 'dsmooth', 'deformed_im_ext'], '' if position else 'Deformed'
    known = {key: pair[position][key] for key in keys if key in pair[position]}
    return address_generator(setting, prefix + what, stage=1, **known)


def result_address(setting, request, pair, step, stage=0):
    """Address of a result of a pair ('dvf_s0', 'MovedIm' ...); synthetic pairs have a folder for each dsmooth."""
    address = address_generator(setting, request, data=pair[0]['data'], pair_info=pair, stage=stage, step=step)
    if 'dsmooth' not in pair[0]:
        return address
    folder, name = os.path.split(address)
    return f'{folder}/Dsmooth{pair[0]["dsmooth"]}/{name}'
