"""Fields of view that cut the lungs: at the base, the top or both (a slab), at a side, or down to one lung."""

import numpy as np

from ..image.masks import bounding_box

#: Kind -> how often.
KINDS = {'base': 0.35, 'top': 0.1, 'slab': 0.25, 'side': 0.2, 'one lung': 0.1}
#: Part of the cut pairs in which one image is whole.
ONLY_ONE = 0.2
#: Part of each lung mask that both images must keep.
LEAST_LEFT = 0.2
TRIES = 10
WHOLE = (slice(None),) * 3


def draw_cuts(rng, lungs, spacing, jitter, smallest_slab):
    """What two images see: the same kind of cut, at places that differ by up to ``jitter``.

    :param lungs: two masks [z, y, x], the second on the grid of the first.
    :param spacing: voxel size in mm, (x, y, z).
    :param jitter, smallest_slab: mm; the height that cuts at base and top leave.
    :return: slices (z, y, x) of each, with explicit ends where it is cut; :data:`WHOLE` twice if nothing fits.
    """
    spacing_zyx, shape = np.array(spacing, dtype=float)[::-1], lungs[0].shape
    box = bounding_box(lungs[0])
    low, high = [np.array(ends) * spacing_zyx for ends in zip(*[(part.start, part.stop) for part in box])]
    total = [np.count_nonzero(lung) for lung in lungs]
    for _ in range(TRIES):
        planes = _planes(rng, low, high, smallest_slab)
        places = planes + rng.uniform(-jitter / 2, jitter / 2, size=(2, 3, 2))
        spared = rng.randint(2) if rng.uniform() < ONLY_ONE else None
        seen = [WHOLE if image == spared else _slices(place, spacing_zyx, shape) for image, place in enumerate(places)]
        left = [np.count_nonzero(lung[part]) for lung, part in zip(lungs, seen)]
        heights = [np.ptp(np.clip(place[0], low[0], high[0])) for place in places]
        tall = min(heights) >= smallest_slab or not np.isfinite(planes[0]).any()
        if tall and all(n >= LEAST_LEFT * whole for n, whole in zip(left, total)):
            return seen
    return [WHOLE, WHOLE]


def _planes(rng, low, high, smallest_slab):
    """Where a kind of cut begins and ends on the axes z, y, x, mm; infinite where it does not cut."""
    planes = np.array([[-np.inf, np.inf]] * 3)
    kind = list(KINDS)[np.searchsorted(np.cumsum(list(KINDS.values())), rng.uniform())]
    size = high - low
    room = max(size[0] - smallest_slab, 0)
    if kind == 'slab':
        height = smallest_slab + rng.uniform() * room
        planes[0] = low[0] + rng.uniform() * (size[0] - height) + np.array([0, height])
    elif kind in ('base', 'top'):
        # Squared: shallow cuts are the more frequent ones.
        depth = rng.uniform() ** 2 * room
        planes[0, int(kind == 'top')] = low[0] + depth if kind == 'base' else high[0] - depth
    else:
        axis, end = (2 if kind == 'one lung' else rng.randint(1, 3)), rng.randint(2)
        depth = size[axis] * (0.5 if kind == 'one lung' else rng.uniform(0, 0.4))
        planes[axis, end] = high[axis] - depth if end else low[axis] + depth
    return planes


def _slices(place, spacing_zyx, shape):
    ends = np.clip(np.rint(place / spacing_zyx[:, None]), 0, np.array(shape)[:, None]).astype(int)
    return tuple(slice(int(start), int(stop)) for start, stop in ends)
