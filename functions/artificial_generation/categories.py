"""The deformation categories by name. A new one is a module with a ``field`` function and one line here.

``field(shape_zyx, spacing, rng, options, inputs)`` returns the DVF, float32 [z, y, x, 3], components (x, y, z)
in mm. ``rng`` is a ``numpy.random.RandomState``, ``options`` are the settings of the deformation experiment with
``deform_number``, ``stage`` and ``dvf_pad``, ``inputs`` is a
:class:`functions.artificial_generation.category_inputs.CategoryInputs`.
"""

from ..setting.errors import require_known
from . import mixed_frequency, respiratory_motion, single_frequency, sliding, translation, zero

CATEGORIES = {
    'zero': zero.field,
    'single_frequency': single_frequency.field,
    'mixed_frequency': mixed_frequency.field,
    'respiratory_motion': respiratory_motion.field,
    'translation': translation.field,
    'sliding': sliding.field,
}


def category(name):
    """The field function of a category; :class:`UnknownNameError` when there is none of that name."""
    require_known('deformation category', name, CATEGORIES)
    return CATEGORIES[name]
