"""What a data set is: a record of its types, names, cases and the patterns of its own file addresses.

The fields of a pattern are those of :mod:`functions.setting.address_fields`; a tuple of patterns is indexed by
``type_im``.
"""

import collections
import copy

from .errors import InputError
from .kinds import whole

#: Types of the images of a breath, from maximum inhale.
PHASES = ['T00', 'T10', 'T20', 'T30', 'T40', 'T50', 'T60', 'T70', 'T80', 'T90']
# fmt: off
#: Fields that ``setting['data'][key]`` carries.
_SETTING_FIELDS = ('ext', 'ImageByte', 'types', 'expPrefix', 'DefaultPixelValue', 'VoxelSize', 'AffineRegistration',
                   'UnsureLandmarkAvailable', 'CNList')
# fmt: on
_FIELDS = (
    'key types expPrefix CNList addresses ext ImageByte DefaultPixelValue VoxelSize AffineRegistration '
    'UnsureLandmarkAvailable expected_tre expected_tre_pair patients layout raw_grids'
)
_DEFAULTS = ('.mha', 2, -2048, [1, 1, 1], True, False, {}, None, (), None, {})


class DataSet(collections.namedtuple('DataSet', _FIELDS, defaults=_DEFAULTS)):
    """One data set.

    ``types`` are the names of the images of a case, indexed by ``type_im``; ``CNList`` the case numbers, from 1;
    ``ImageByte`` the bytes of a voxel (int16); ``DefaultPixelValue`` the value [HU] outside an image; ``VoxelSize`` is
    that of the prepared images [mm]; ``addresses`` maps a request to its pattern; ``expected_tre`` maps a case to the
    mean landmark distance [mm] before registration, where known, of ``expected_tre_pair``, the types (fixed, moving)
    that are usually registered; ``patients`` are folder codes by case, where the data set has any; ``layout`` names how
    the data set is distributed (:mod:`functions.preprocessing.downloaded_packs`), None when there is nothing to
    download; ``raw_grids`` maps a case to the (size, spacing), x y z, of its images when their files do not say it.
    """

    __slots__ = ()

    def settings(self):
        """The keys that ``setting['data'][key]`` carries, as fresh objects."""
        return {name: copy.deepcopy(getattr(self, name)) for name in _SETTING_FIELDS}

    def type_list(self):
        """The types as shown in messages: '0 (T00), 1 (T10)'."""
        return ', '.join(f'{number} ({name})' for number, name in enumerate(self.types))

    def type_name(self, type_im):
        """Name of type ``type_im``; an InputError when there is no such type."""
        if not whole(0, len(self.types) - 1).accepts(type_im):
            raise InputError(f'type_im {type_im!r} is not in data set {self.key}; accepted: {self.type_list()}.')
        return self.types[type_im]


def image_addresses(root):
    """Patterns of images and masks under ``root`` (ends in ``/``), one folder ``mha/{p}/`` per case."""
    folder = root + 'mha/{p}/'
    return {
        'OriginalFolder': folder,
        'OriginalIm': folder + '{p}_{type}_RS1{S}{P}{ext}',
        'OriginalLung': folder + 'Lung_Filled/{p}_{type}_Lung_Filled_RS1{S}{P}{ext}',
        'OriginalTorso': folder + 'Torso/{p}_{type}_Torso_RS1{S}{P}{ext}',
        'OriginalImRaw': folder + '{p}_{type}{S}{P}{ext}',
        'OriginalLungRaw': folder + 'Lung_Filled/{p}_{type}_Lung_Filled{S}{P}{ext}',
        'OriginalTorsoRaw': folder + 'Torso/{p}_{type}_Torso{S}{P}{ext}',
        'DilatedLandmarksIm': folder + 'dilatedLandmarks{cn}_{type}_Landmarks_RS1{S}{P}{ext}',
        'DilatedLandmarksImNonIsotropic': folder + 'dilatedLandmarks{cn}_{type}{S}{P}{ext}',
        'OriginalImNonIsotropic': folder + '{p}_{type}{ext}',
        'OriginalImNonIsotropicFolder': folder,
    }


def landmark_addresses(folder, stem, index=True, exact=False):
    """Patterns of landmark files in ``folder``.

    ``stem`` is the common beginning of the names, with ``{kind}`` in place of ``xyz`` (voxel index) or ``world`` (mm).
    ``index`` adds the file as distributed (1-based index), ``exact`` the full-precision file of phantoms and users.
    """
    xyz, world = folder + stem.replace('{kind}', 'xyz'), folder + stem.replace('{kind}', 'world')
    patterns = {
        'OriginalLandmarkFolder': folder,
        'LandmarkIndex_tr': xyz + '_tr.txt',
        'LandmarkIndex_elx': xyz + '_elx.txt',
        'LandmarkPoint_tr': world + '_tr.txt',
        'LandmarkPoint_elx': world + '_elx.txt',
    }
    if index:
        patterns['LandmarkIndex'] = xyz + '.txt'
    if exact:
        patterns['LandmarkPointExact'] = world + '_exact.txt'
    return patterns
