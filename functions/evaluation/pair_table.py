"""The table of one registered pair: its errors beside those of simple answers that need no registration."""

from ..image.masks import read_mask
from ..image.volume_io import read_image
from ..measure import regularity, tre
from ..setting import setting_utils as su

COLUMNS = ('TRE mm', 'std', 'median', 'p95', 'folding %', 'seconds')
#: Training fields of a mean field: more do not change the mean, and reading them takes longer than registering.
MOST_FIELDS = 60
_ITEM_KEYS = ('data', 'deform_exp', 'type_im', 'cn', 'dsmooth', 'stage', 'padto')


def measure_pair(fixed_points, moving_points, dvf, jacobian, lung, seconds, training_fields=None):
    """Landmark errors before and after, and those of two simple answers.

    :param fixed_points, moving_points: (n, 3) mm.
    :param dvf: displacement image, mm.
    :param jacobian, lung: images on one grid; folding is counted inside the lung.
    :param seconds: wall time of the registration.
    :param training_fields: :func:`training_fields`; None: no row of their mean.
    :return: list of dictionaries with 'method', 'n' and :data:`COLUMNS` (None where a column does not apply).
    """
    points = fixed_points, moving_points
    errors = {
        'before registration': tre.error_vectors(*points),
        'best constant shift': tre.best_constant_shift(*points),
    }
    if training_fields is not None:
        errors['mean field of the training set'] = tre.mean_field(*points, training_fields, tre.mask_box(lung))
    errors['RegNet'] = tre.error_vectors(*points, dvf=dvf)
    rows = []
    for name, error in errors.items():
        numbers = tre.summary(error)
        row = {'method': name, 'n': numbers['n'], 'TRE mm': numbers['mean']}
        rows.append(dict(row, **{key: numbers[key] for key in ('std', 'median', 'p95')}))
    rows[-1].update({'folding %': regularity.folding(jacobian, lung), 'seconds': seconds})
    return rows


def training_fields(setting, items):
    """Generator of (artificial DVF, mm, box of its lungs: lower, upper corners in mm) of training items.

    :param items: im_info dictionaries; of more than :data:`MOST_FIELDS`, evenly spaced ones are read.
    """
    if len(items) > MOST_FIELDS:
        items = [items[k * len(items) // MOST_FIELDS] for k in range(MOST_FIELDS)]
    for item in items:
        keys = {key: item[key] for key in _ITEM_KEYS if key in item}
        dvf = read_image(su.address_generator(setting, 'DeformedDVF', **keys), expect='vector')
        yield dvf, tre.mask_box(read_mask(su.address_generator(setting, 'DeformedLung', **keys)))
