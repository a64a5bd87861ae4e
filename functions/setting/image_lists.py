"""Lists of items: which images with which deformations belong to training, validation and testing."""

import copy
import itertools
from typing import Any, Dict, List, Optional

import numpy as np

from . import artificial_generation_setting as experiments
from . import kinds, schema
from .errors import InputError

#: AGMode -> (its methods, validation dsmooth numbers among the 14 of the shipped experiments).
_AG_MODES = {
    'Resp': (('respiratory_motion', 'single_frequency', 'mixed_frequency', 'zero'), (0, 5, 10)),
    'NoResp': (('single_frequency', 'mixed_frequency', 'zero'), (5, 8, 10)),
    'SingleOnly': (('single_frequency',), (5, 6, 8)),
    'MixedOnly': (('mixed_frequency',), (9, 10, 12)),
    'SingleResp': (('single_frequency', 'respiratory_motion', 'zero'), (4, 8, 10)),
    'Visualization': ((), ()),
}


def mode_entries(setting, train_mode):
    """Entries of ``DataExpDict`` that have keys of ``train_mode``, without the mode's name in the keys: list of
    dictionaries with data, deform_exp (may be absent) and some of CNList, TypeImList, ....
    """
    kinds.choice(*schema.TRAIN_MODES).require('train_mode', train_mode)
    if 'DataExpDict' not in setting:
        raise InputError('The setting has no data; call load_setting_from_data_dict first.')
    entries = []
    for entry in setting['DataExpDict']:
        own = {key: entry[train_mode + key] for key in schema.MODE_KEYS if train_mode + key in entry}
        if own:
            entries.append(dict({key: entry[key] for key in ('data', 'deform_exp') if key in entry}, **own))
    return entries


def _need(entry, train_mode, *keys):
    for key in keys:
        if key not in entry:
            name = key if key == 'deform_exp' else train_mode + key
            raise InputError(f'The entry of {entry["data"]} in data_exp_dict has no {name!r}.')


def _single_list(setting, train_mode, stage):
    items = []
    for entry in mode_entries(setting, train_mode):
        _need(entry, train_mode, 'CNList', 'TypeImList', 'DSmoothList', 'deform_exp')
        methods = experiments.get_deform_exp(setting, entry['deform_exp'])['DeformMethods']
        pad_to = setting.get('PadTo') or {}
        end = {'stage': stage}
        if f'stage{stage}' in pad_to:
            end['padto'] = pad_to[f'stage{stage}']
        if 'Spacing' in entry:
            end['spacing'] = entry['Spacing']
        for cn, type_im, dsmooth in itertools.product(entry['CNList'], entry['TypeImList'], entry['DSmoothList']):
            method, number = experiments.deform_method_and_number(methods, dsmooth)
            item = {'data': entry['data'], 'type_im': type_im, 'cn': cn, 'deform_exp': entry['deform_exp']}
            item.update(dsmooth=dsmooth, deform_method=method, deform_number=number)
            if 'DeformedImExt' in entry:
                item['deformed_im_ext'] = list(entry['DeformedImExt'])
            items.append(dict(item, **end))
    return items


def _real_pair_list(setting, train_mode):
    pairs = []
    for entry in mode_entries(setting, train_mode):
        _need(entry, train_mode, 'CNList', 'PairList')
        for cn in entry['CNList']:
            for pair in entry['PairList']:
                image = {'data': entry['data'], 'cn': cn, 'spacing': entry.get('Spacing', 'RS1')}
                pairs.append([dict(image, type_im=type_im) for type_im in pair])
    return pairs


def get_im_info_list_from_train_mode(
    setting: Dict[str, Any],
    train_mode: str,
    load_mode: str = 'Single',
    read_pair_mode: Optional[str] = None,
    stage: Optional[int] = None,
) -> List[Any]:
    """All items of a mode, in the order of data entries, cases, types (or pairs) and dsmooth.

    :param train_mode: 'Training', 'Validation' or 'Testing'.
    :param load_mode: 'Pair': list of [fixed, moving]; 'Single': list of im_info dictionaries (data, type_im, cn,
        deform_exp, dsmooth, deform_method, deform_number, stage and, where given, deformed_im_ext, padto, spacing).
    :param read_pair_mode: for pairs: 'real' (two images of a case) or 'synthetic' (an item twice); None: that of the
        setting, else 'real'.
    :param stage: None: the stage of the setting.
    :raises InputError: unknown mode, or an entry of data_exp_dict lacks a key.
    """
    stage = setting['stage'] if stage is None else stage
    if load_mode == 'Single':
        return _single_list(setting, train_mode, stage)
    kinds.choice('Single', 'Pair').require('load_mode', load_mode)
    mode = str(read_pair_mode or setting.get('read_pair_mode') or 'real').lower()
    if schema.PAIR_MODE.require('read_pair_mode', mode) == 'real':
        return _real_pair_list(setting, train_mode)
    return [[item, copy.deepcopy(item)] for item in _single_list(setting, train_mode, stage)]


def get_random_im_info_list(
    setting, train_mode, load_mode='Pair', read_pair_mode=None, stage=None, reverse_order=False
):
    """The items in the order in which synthetic pairs are registered.

    Training and Validation are permuted (seed 0); Validation keeps the first NetworkValidation.NumberOfImagesPerChunk;
    'Training+Validation' is one after the other; Testing keeps its order. ``reverse_order`` reverses the list.
    """
    if train_mode == 'Training+Validation':
        rest = (load_mode, read_pair_mode, stage)
        items = get_random_im_info_list(setting, 'Training', *rest)
        items = items + get_random_im_info_list(setting, 'Validation', *rest)
    else:
        items = get_im_info_list_from_train_mode(setting, train_mode, load_mode, read_pair_mode, stage)
        if train_mode != 'Testing':
            items = [items[i] for i in np.random.RandomState(0).permutation(len(items))]
        if train_mode == 'Validation':
            items = items[: setting['NetworkValidation']['NumberOfImagesPerChunk']]
    return items[::-1] if reverse_order else items


def repeat_dsmooth_numbers(dsmooth_list, deform_exp, repeat):
    """``dsmooth_list`` repeated with the same categories but other random fields: each repetition adds n, the number of
    deformations of the experiment. [0] repeated 3 times with n = 4 is [0, 4, 8].
    """
    n = len(experiments.load_deform_exp_setting(deform_exp)['DeformMethods'])
    return [dsmooth + turn * n for turn in range(repeat) for dsmooth in dsmooth_list]


def dsmoothlist_by_deform_exp(deform_exp, ag_mode):
    """Deformation numbers of an experiment for an AGMode.

    :param ag_mode: one of ``schema.AG_MODES``; 'Visualization' takes all of a visualisation experiment, else nothing.
    :return: (training list, validation list).
    :raises InputError: unknown mode. :raises UnknownNameError: unknown experiment.
    """
    kinds.choice(*_AG_MODES).require('AGMode', ag_mode)
    methods = experiments.load_deform_exp_setting(deform_exp)['DeformMethods']
    if deform_exp.endswith('_Visualization') and ag_mode == 'Visualization':
        return list(range(len(methods))), []
    wanted, validation = _AG_MODES[ag_mode]
    training = [number for number, method in enumerate(methods) if method in wanted]
    return training, [number for number in validation if number < len(methods)]
