"""Registration: from a pair of images and trained networks to one displacement vector field, in a single shot
per stage."""

import typing

if typing.TYPE_CHECKING:
    from .network_pyramid import open_model as open_model
    from .single_pair import register as register


def __getattr__(name):
    # What needs TensorFlow is loaded when it is asked for: the affine registration does without.
    if name in ('register', 'open_model'):
        from . import network_pyramid, single_pair

        return {'register': single_pair.register, 'open_model': network_pyramid.open_model}[name]
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
