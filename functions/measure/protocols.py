"""The conventions of the measures; the one used is named beside every result."""

import collections

from ..setting.errors import require_known

#: name; text: what is done; interpolation of the DVF at landmarks, 'linear' or 'nearest'; snap: move estimated
#: positions to voxel centres of the moving image; log_offset: added to the Jacobian determinant before its logarithm;
#: border: voxels at the sides of the grid that regularity leaves out.
Protocol = collections.namedtuple('Protocol', 'name text interpolation snap log_offset border')

# The texts are compared between records: rewording one makes older records incomparable.
_EXACT = 'TRE: DVF read linearly at the landmark, positions not rounded. '
_FOLDING = 'folding: Jacobian determinant J <= 0; '
_DIRLAB = f'{_EXACT}Regularity, inside the lung mask: {_FOLDING}std of log J, J clipped at 1e-9.'
_SNAP = (
    'As dirlab, but estimated positions are moved to the nearest voxel centre of the moving image, as in tables '
    'made by displaying voxels.'
)
_NEAREST = 'As dirlab, but the DVF is read at the voxel nearest to the landmark, as the published code does.'
_LEARN2REG = (
    f'{_EXACT}Regularity, inside the mask without two voxels at each side of the grid: {_FOLDING}std of log(J + 3), '
    'clipped to [1e-9, 1e9].'
)

PROTOCOLS = {
    'dirlab': Protocol('dirlab', _DIRLAB, 'linear', False, 0.0, 0),
    'dirlab-snap': Protocol('dirlab-snap', _SNAP, 'linear', True, 0.0, 0),
    'dirlab-nearest': Protocol('dirlab-nearest', _NEAREST, 'nearest', False, 0.0, 0),
    'learn2reg': Protocol('learn2reg', _LEARN2REG, 'linear', False, 3.0, 2),
}


def get_protocol(name):
    """The :class:`Protocol` of a name; an UnknownNameError when there is none."""
    return PROTOCOLS[require_known('protocol', name, PROTOCOLS)]
