"""Identity of an item of artificial generation: its settings, addresses, seeds and name."""

import json

from ..image.manifest import voxel_checksum
from ..setting import artificial_generation_setting as experiments
from ..setting.data_sets import get_data_set
from ..setting.errors import InputError, require_known
from ..setting.kinds import whole
from ..setting.seeds import random_state
from ..setting.setting_utils import address_generator
from .augmentation import check_sequence

#: Settings of a deformation experiment that change no voxel of an item's files.
_IRRELEVANT = ['DeformMethods', 'DeleteStage1Images', 'Occlusion', 'ScanVariety', 'UseLungMask', 'verbose_image']
_IRRELEVANT += ['WriteIntermediateIntensityAugmentation']
_REQUIRED = ('data', 'type_im', 'cn', 'deform_exp', 'dsmooth')
_ADDRESS_ARGUMENTS = ('data', 'deform_exp', 'type_im', 'cn', 'dsmooth', 'stage', 'padto', 'dvf_pad')
DOWN_SAMPLINGS = ('bspline',)


class ItemSpecification:
    """One item: image (data, type_im, cn), deformation (deform_exp, dsmooth), stage, padding, augmentations.

    :param setting: the setting dictionary.
    :param im_info: dictionary with data, type_im, cn, deform_exp, dsmooth and optionally stage, padto, deformed_im_ext.
    :raises InputError, UnknownNameError: a key is missing or unusable; unknown data set, experiment, augmentation.
    """

    def __init__(self, setting, im_info):
        missing = [key for key in _REQUIRED if key not in im_info]
        if missing:
            raise InputError(f'im_info lacks {", ".join(missing)}; it has {", ".join(sorted(im_info))}.')
        numbers = [int(whole(0).require(key, im_info[key])) for key in ('type_im', 'cn', 'dsmooth')]
        self.setting, self.im_info = setting, im_info
        self.data, self.deform_exp = im_info['data'], im_info['deform_exp']
        self.type_im, self.cn, self.dsmooth = numbers
        stage = im_info['stage'] if im_info.get('stage') is not None else setting.get('stage', 1)
        if stage not in (1, 2, 4):
            raise InputError(f'stage is {stage!r}; accepted: 1, 2, 4.')
        self.stage, self.padto = int(stage), im_info.get('padto')
        self.sequence = check_sequence(im_info.get('deformed_im_ext') or ['Clean'])
        self.record = get_data_set(self.data, setting)
        self.type_name = self.record.type_name(self.type_im)
        self.use_lung, self.use_torso = [bool(setting.get(f'Use{name}Mask', True)) for name in ('Lung', 'Torso')]
        self.dvf_pad = int(setting.get(f'DVFPad_S{self.stage}') or 0)
        experiment = experiments.get_deform_exp(setting, self.deform_exp)
        self.method, self.number = experiments.deform_method_and_number(experiment['DeformMethods'], self.dsmooth)
        self.options = dict(experiment, deform_number=self.number, stage=self.stage, dvf_pad=self.dvf_pad)
        self.options['SpongeModel'] = setting.get('SpongeModel') or 'published'
        self.has_next = experiments.has_next_image(setting, self.deform_exp, self.dsmooth)
        self.mask_name = self._mask('MaskToZero', self.options['MaskToZero'])
        # A network may see less than is deformed; files do not depend on it.
        self.input_mask = self._mask('InputMask', setting.get('InputMask') or self.mask_name)
        self.input_margin = setting.get('InputMargin')
        if self.input_margin is not None and (self.input_mask is None or self.dvf_pad):
            raise InputError(f'The setting InputMargin needs an InputMask, and no DVFPad_S{self.stage}.')
        given = experiment['ScanVariety']
        self.variety = dict({key.name: key.default for key in experiments.SCAN_VARIETY}, **given) if given else None
        if self.variety and not self.use_lung:
            raise InputError('ScanVariety needs the lung masks, but UseLungMask is False.')
        require_known('DownSampling', setting.get('DownSampling', 'bspline'), DOWN_SAMPLINGS)
        self._sources = None

    def _mask(self, key, name):
        is_used = {'Lung': self.use_lung, 'Torso': self.use_torso, None: True}
        require_known(key, name, is_used)
        if not is_used[name]:
            raise InputError(f'{key} is {name!r} but Use{name}Mask is False.')
        return name

    @property
    def name(self):
        """Short name for logs and errors."""
        image = f'{self.data} {self.type_name} {self.record.expPrefix}{self.cn}'
        return f'{self.deform_exp} {image} dsmooth {self.dsmooth} ({self.method} D{self.number}) stage {self.stage}'

    @property
    def is_resampled(self):
        """Whether the originals are down-sampled or padded, and so files of their own."""
        return self.stage > 1 or self.padto is not None

    def address(self, request, **changes):
        """``address_generator`` with the arguments of this item."""
        arguments = {name: getattr(self, name) for name in _ADDRESS_ARGUMENTS}
        return address_generator(self.setting, request, **dict(arguments, **changes))

    def random(self, purpose, *more):
        """Random numbers of this item for one purpose; ``more`` is 'Next' for the next image."""
        return random_state(purpose, self.deform_exp, self.data, self.type_im, self.cn, self.dsmooth, self.stage, *more)

    def unpadded(self):
        """The same item without padding."""
        return ItemSpecification(self.setting, dict(self.im_info, padto=None))

    def original_sources(self):
        """Addresses of the original image and masks at stage 1: request -> path."""
        if self._sources is None:
            requests = ['OriginalIm'] + ['OriginalLung'] * self.use_lung + ['OriginalTorso'] * self.use_torso
            self._sources = {request: self.address(request, stage=1, padto=None) for request in requests}
        return self._sources

    def original_made_from(self):
        """What a down-sampled or padded original is made from, JSON-able."""
        return {
            'sources': {request: voxel_checksum(path) for request, path in self.original_sources().items()},
            'stage': self.stage,
            'padto': _plain(self.padto),
            'down_sampling': self.setting.get('DownSampling', 'bspline'),
            'default': self.record.DefaultPixelValue,
        }

    def _decides(self, key):
        """Whether an option can change the files; later ones only where they are used, so that older files stay."""
        if key.startswith('Sliding_'):
            return self.method == 'sliding'
        if key == 'ResidualAffine':
            return self.options[key][1] > 0
        return key not in _IRRELEVANT

    def made_from(self, with_sequence=True):
        """What the item is made from, JSON-able; equal descriptions give equal voxels."""
        description = {key: getattr(self, key) for key in _REQUIRED}
        description['originals'] = self.original_made_from()
        description['options'] = _plain({k: value for k, value in self.options.items() if self._decides(k)})
        if with_sequence:
            description.update(method=self.method, sequence=self.sequence)
        return description


def _plain(value):
    """``value`` after a round trip through JSON: NumPy numbers as numbers, tuples as lists."""
    return json.loads(json.dumps(value, default=lambda number: number.tolist()))
