"""Drawing capsules (tapered tubes with round ends) into a volume, with partial volume."""

import numpy as np

RAMP = 1.6  # mm over which a surface fades from inside to outside
LONGEST = 11.0  # mm; longer capsules are cut, to keep the boxes around the pieces tight


def _pieces(capsules):
    """Capsules cut into pieces of about ``LONGEST`` mm."""
    start, end, r0, r1 = [np.asarray(part, dtype=np.float64) for part in capsules]
    length = np.linalg.norm(end - start, axis=1)
    count = np.maximum(1, np.ceil(length / np.maximum(LONGEST, 3 * r0))).astype(int)
    which = np.repeat(np.arange(len(count)), count)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    a = (np.arange(len(which)) - first[which]) / count[which]
    b = a + 1.0 / count[which]
    step, grow = (end - start)[which], (r1 - r0)[which]
    start, r0 = start[which], r0[which]
    return start + a[:, None] * step, start + b[:, None] * step, r0 + a * grow, r0 + b * grow


def paint(shape, first_index, capsules):
    """The fraction of each voxel (1 mm) inside one of :class:`functions.phantom.trees.Capsules`, float32 [z, y, x] of a
    shape; ``first_index`` is the position (x, y, z) mm of voxel [0, 0, 0].
    """
    volume = np.zeros(shape, dtype=np.float32)
    starts, ends, r0, r1 = _pieces(capsules)
    starts, ends = starts - np.asarray(first_index), ends - np.asarray(first_index)
    reach = np.maximum(np.maximum(r0, r1), 0.5 * RAMP)[:, None] + 0.5 * RAMP
    low = np.maximum(np.ceil(np.minimum(starts, ends) - reach), 0).astype(int)
    high = np.minimum(np.floor(np.maximum(starts, ends) + reach) + 1, volume.shape[::-1]).astype(int)
    # The ramp adds pi ramp^2 / 12 to the cross-section of a tube, so the tube is drawn thinner by that. If it is too
    # thin, it gets half the ramp as its radius and fills its voxels only in part.
    blur, least = RAMP * RAMP / 12.0, 0.25 * RAMP * RAMP
    gain = np.minimum(1.0, np.maximum(r0, r1) ** 2 / (least + blur))
    r0, r1 = np.sqrt(np.maximum(r0 * r0 - blur, least)), np.sqrt(np.maximum(r1 * r1 - blur, least))
    for i in np.flatnonzero(np.all(high > low, axis=1)):
        x, y, z = (np.arange(a, b, dtype=np.float32) - np.float32(s) for a, b, s in zip(low[i], high[i], starts[i]))
        y, z = y[:, None], z[:, None, None]
        dx, dy, dz = ends[i] - starts[i]
        length2 = dx * dx + dy * dy + dz * dz + 1e-9
        along = y * np.float32(dy / length2) + x * np.float32(dx / length2)
        along = np.clip(z * np.float32(dz / length2) + along, 0, 1)
        # |p - a|^2 - 2 t (p - a).d + t^2 |d|^2, as a sum of three squares to stay accurate in float32.
        distance2 = (x - along * np.float32(dx)) ** 2 + (y - along * np.float32(dy)) ** 2
        distance2 += (z - along * np.float32(dz)) ** 2
        depth = along * np.float32(r1[i] - r0[i]) + np.float32(r0[i]) - np.sqrt(distance2)
        inside = np.clip(depth * np.float32(1.0 / RAMP) + np.float32(0.5), 0, 1) * np.float32(gain[i])
        part = volume[tuple(slice(a, b) for a, b in zip(low[i][::-1], high[i][::-1]))]
        np.maximum(part, inside, out=part)
    return volume
