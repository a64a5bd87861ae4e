"""Drawing capsules (tapered tubes with round ends) into a volume, with partial volume, each in its own small box."""
import numpy as np


def _pieces(capsules, longest):
    """Cut long capsules, so that the boxes around them stay tight."""
    start, end, r0, r1 = [np.asarray(part, dtype=np.float64) for part in capsules]
    count = np.maximum(1, np.ceil(np.linalg.norm(end - start, axis=1) / np.maximum(longest, 3 * r0))).astype(int)
    which = np.repeat(np.arange(len(count)), count)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    a = (np.arange(len(which)) - first[which]) / count[which]
    b = a + 1.0 / count[which]
    step, grow = (end - start)[which], (r1 - r0)[which]
    return (start[which] + a[:, None] * step, start[which] + b[:, None] * step, r0[which] + a * grow, r0[which] + b * grow)


def paint(volume, first_index, capsules, ramp=1.2, longest=11.0):
    """Raise ``volume`` to the share of each voxel that lies inside a capsule (the larger wins where two meet).

    :param volume: float32 [z, y, x], changed in place; voxels are 1 mm.
    :param first_index: position (x, y, z) mm of voxel [0, 0, 0].
    :param capsules: :class:`functions.phantom.trees.Capsules`.
    :param ramp: width in mm over which a surface fades from inside to outside.
    :param longest: capsules are cut into pieces of about this length in mm.
    """
    starts, ends, r0, r1 = _pieces(capsules, longest)
    starts, ends = starts - np.asarray(first_index), ends - np.asarray(first_index)
    reach = np.maximum(r0, r1)[:, None] + 0.5 * ramp
    low = np.maximum(np.ceil(np.minimum(starts, ends) - reach), 0).astype(int)
    high = np.minimum(np.floor(np.maximum(starts, ends) + reach) + 1, volume.shape[::-1]).astype(int)
    use = np.all(high > low, axis=1)
    # A tube thinner than the ramp fills its voxels only in part.
    thin = np.maximum(r0, r1)
    gain = np.minimum(1.0, (thin / (0.62 * ramp)) ** 2)
    axis = [np.arange(n, dtype=np.float32) for n in volume.shape[::-1]]
    scale = np.float32(1.0 / ramp)
    for i in np.flatnonzero(use):
        (x0, y0, z0), (x1, y1, z1) = low[i], high[i]
        sx, sy, sz = starts[i]
        dx, dy, dz = ends[i] - starts[i]
        length2 = dx * dx + dy * dy + dz * dz + 1e-9
        px = axis[0][x0:x1] - np.float32(sx)
        py = (axis[1][y0:y1] - np.float32(sy))[:, None]
        pz = (axis[2][z0:z1] - np.float32(sz))[:, None, None]
        along = pz * np.float32(dz / length2) + (py * np.float32(dy / length2) + px * np.float32(dx / length2))
        np.clip(along, 0, 1, out=along)
        # |p - a|^2 - 2 t (p - a).d + t^2 |d|^2, written as the sum of three squares to keep float32 exact.
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
