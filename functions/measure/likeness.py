"""The measures of likeness that judge what a registration keeps. A new one is a module and one line here.

``Comparison(fixed, moving, fixed_mask, moving_mask)`` compares two images (scalar sitk images in HU, any grids, masks
on them or None) by its method ``likeness(mapping)``: a number, the larger the more alike they are where ``mapping``, a
function of points (n, 3) in mm, takes points of the fixed image to points of the moving one.
"""

import importlib

#: Modules beside this one with a class ``Comparison``, by which the measure is called; the first is the usual one.
MODULES = ['local_correlation']
COMPARISONS = {name: importlib.import_module('.' + name, __package__).Comparison for name in MODULES}
