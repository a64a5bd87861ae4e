"""Options of the registration of a pair."""

import typing

from ..elastix.registration import AFFINE_FILE
from ..measure import likeness
from ..preprocessing.hounsfield import LOWEST
from ..setting.errors import InputError, unknown_name
from ..setting.kinds import number
from ..setting.schema import PRECISIONS
from .multi_stage import COMPOSITIONS

_CHOICES = {
    'input_mask': ('model', 'Lung', 'Torso', 'none'),
    'grid': ('native', 'isotropic'),
    'composition': COMPOSITIONS,
    'affine_mask': ('auto', 'Torso', 'Lung', None),
    'likeness': likeness.MODULES,
    'precision': PRECISIONS,
    'symmetric': (None, True, False),
}


class Options(typing.NamedTuple):
    """Options of :func:`functions.registration.single_pair.register`.

    Masks are files, images or arrays on the grids of their images; the one the networks need is made if it is not
    given.
    ``on_fields`` is called in another thread with (affine transform or None, nonrigid field, total field) as soon as
    they are known, to write them while the moving image is being warped; the fields are copies. ``on_single_shot`` is
    called with the :class:`functions.registration.single_pair.Registration` of the single shot before that is refined.
    """

    fixed_lung: object = None
    fixed_torso: object = None
    moving_lung: object = None
    moving_torso: object = None
    series: tuple = (None, None)  # of fixed and moving: UID or number where a DICOM folder holds several
    spacing: tuple = (None, None)  # of fixed and moving where they are arrays: (x, y, z) mm
    origin: tuple = (None, None)  # likewise; None: (0, 0, 0)
    affine: object = None  # 'elastix', 'sitk', 'none' or a transform file; None: elastix if installed, else sitk
    affine_mask: object = 'auto'  # around the lungs and, if that fits badly, in the torso; or 'Torso', 'Lung', None
    affine_parameters: str = AFFINE_FILE  # elastix's parameter file
    affine_folder: object = None  # keeps the files elastix wrote
    input_mask: str = 'model'  # as in training; or 'Lung' (as published, after training with 'Torso'), 'Torso', 'none'
    grid: str = 'native'  # of the results: that of the fixed image, or 'isotropic': 1 mm, identity direction
    composition: str = 'exact'  # or 'additive', as the published code adds fields
    symmetric: object = None  # the mean of every pass and its way back; None: as the set says, False with both_ways
    diffeomorphic: bool = False  # remove folding from the field; the measures report the change
    outside: float = float(LOWEST)  # HU of the moved image where there is no moving image
    both_ways: bool = False  # also moving to fixed: a map of the residual, and the mean of both fields if it is better
    refine: object = None  # seconds in which the field is fitted to this pair (functions.registration.refinement)
    error_map: bool = True  # predict the error of the result, where the networks come with one that does
    keep_all_stages: bool = False  # also what makes the images less alike
    likeness: str = 'local_correlation'  # how alike they are: a measure of functions.measure.likeness
    trained: bool = True  # False: an implausible field is used with a warning instead of refused
    threads: object = None  # of TensorFlow, ITK and elastix; None: all cores
    memory: object = None  # bytes one forward pass may use
    precision: str = 'float32'  # of the networks opened here; or 'bfloat16', 'auto'
    on_fields: object = None
    on_single_shot: object = None


def checked_options(options):
    """:class:`Options` from a dictionary of some of them."""
    for name in options:
        if name not in Options._fields:
            raise unknown_name('option of a registration', name, Options._fields)
    options = Options(**options)
    for name, accepted in _CHOICES.items():
        if getattr(options, name) not in accepted:
            raise unknown_name(name.replace('_', ' '), getattr(options, name), accepted)
    for name in ('series', 'spacing', 'origin'):
        value = getattr(options, name)
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise InputError(f'{name} is {value!r}; accepted: two, of the fixed and the moving image, or None.')
    if options.refine is not None:
        number(above=0).require('refine (--refine, seconds)', options.refine)
    return options
