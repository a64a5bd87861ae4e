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


def paint(volume, first_index, capsules):
    """Raise ``volume`` to the fraction of each voxel inside a capsule; the larger value wins.

    :param volume: float32 [z, y, x], changed in place; voxels are 1 mm.
    :param first_index: position (x, y, z) mm of voxel [0, 0, 0].
    :param capsules: :class:`functions.phantom.trees.Capsules`.
    """
    starts, ends, r0, r1 = _pieces(capsules)
    starts, ends = starts - np.asarray(first_index), ends - np.asarray(first_index)
    reach = np.maximum(np.maximum(r0, r1), 0.5 * RAMP)[:, None] + 0.5 * RAMP
    low = np.maximum(np.ceil(np.minimum(starts, ends) - reach), 0).astype(int)
    high = np.minimum(np.floor(np.maximum(starts, ends) + reach) + 1, volume.shape[::-1]).astype(int)
    use = np.all(high > low, axis=1)
    # The ramp adds pi ramp^2 / 12 to the cross-section of a tube, so the tube is drawn thinner by that. If it is too
    # thin, it gets half the ramp as its radius and fills its voxels only in part.
    blur, least = RAMP * RAMP / 12.0, 0.25 * RAMP * RAMP
    gain = np.minimum(1.0, np.maximum(r0, r1) ** 2 / (least + blur))
    r0, r1 = np.sqrt(np.maximum(r0 * r0 - blur, least)), np.sqrt(np.maximum(r1 * r1 - blur, least))
    axis = [np.arange(n, dtype=np.float32) for n in volume.shape[::-1]]
    scale = np.float32(1.0 / RAMP)
    for i in np.flatnonzero(use):
        (x0, y0, z0), (x1, y1, z1) = low[i], high[i]
        sx, sy, sz = starts[i]
        dx, dy, dz = ends[i] - starts[i]
        length2 = dx * dx + dy * dy + dz * dz + 1e-9
        px = axis[0][x0:x1] - np.float32(sx)
        py = (axis[1][y0:y1] - np.float32(sy))[:, None]
        pz = (axis[2][z0:z1] - np.float32(sz))[:, None, None]
        along = py * np.float32(dy / length2) + px * np.float32(dx / length2)
        along = pz * np.float32(dz / length2) + along
        np.clip(along, 0, 1, out=along)
        # |p - a|^2 - 2 t (p - a).d + t^2 |d|^2, as a sum of three squares to stay accurate in float32.
        distance = (px - along * np.float32(dx)) ** 2
        distance += (py - along * np.float32(dy)) ** 2
        distance += (pz - along * np.float32(dz)) ** 2
        np.sqrt(distance, out=distance)
        along *= np.float32(r1[i] - r0[i])
        along += np.float32(r0[i])
        along -= distance
        along *= scale
        along += np.float32(0.5)
        np.clip(along, 0, np.float32(1), out=along)
        if gain[i] < 1:
            along *= np.float32(gain[i])
        part = volume[z0:z1, y0:y1, x0:x1]
        np.maximum(part, along, out=part)
