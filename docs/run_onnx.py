"""Registers two chest CTs by networks in ONNX, with NumPy, SimpleITK and onnxruntime alone.

    python run_onnx.py NETWORKS FIXED MOVING FIXED_MASK MOVING_MASK DVF

NETWORKS is a folder that ``regnet export chest NETWORKS`` has written. The images are in HU, the masks those of what
``networks.json`` names (the lungs), all on one grid with voxels of 1 mm and identity direction, the moving ones as the
affine registration left them. All passes of the set run, each in one piece in the box around the masks. The DVF (mm,
fixed to moving, without the affine) is written on that grid; beyond the box it keeps the values at the faces. Not done:
resampling to 1 mm, masks, the affine registration, tiles, leaving out a pass that does not help.
"""

import json
import os
import sys

import numpy as np
import SimpleITK as sitk


def downsample(image, factor):
    """Every ``factor``-th voxel after the low-pass filter of training, a cubic B-spline."""
    array, offsets = sitk.GetArrayFromImage(image), np.arange(1 - 2 * factor, 2 * factor)
    t = np.abs(offsets) / factor
    taps = np.where(t < 1, t**3 / 2 - t**2 + 2 / 3, (2 - t) ** 3 / 6)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis, side in enumerate(array.shape if factor > 1 else ()):
        kept = np.arange(0, side, factor)
        array = sum(tap * array.take(np.clip(kept + o, 0, side - 1), axis) for o, tap in zip(offsets, taps))
    small = sitk.GetImageFromArray(np.rint(array))
    small.CopyInformation(image[::factor, ::factor, ::factor])
    return small


def pull(image, grid, moves=None, interpolator=sitk.sitkLinear, outside=None):
    """``image(p)``, or ``image(p + moves(p))``, on a grid; beyond its own it is ``outside``, or as at its edge."""
    moves = sitk.DisplacementFieldTransform(sitk.Cast(moves, sitk.sitkVectorFloat64)) if moves else sitk.Transform()
    return sitk.Resample(image, grid, moves, interpolator, outside or 0, image.GetPixelID(), outside is None)


def on_grid_of(image, vectors):
    """An array [z, y, x, 3] as an image."""
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(image)
    return field


def predict(session, about, moving, fixed, outside):
    """The DVF of two arrays [z, y, x], padded to a size that the network takes."""
    lost, shape = about['smaller_by'], fixed.shape
    sides = [max(side + 2 * lost, about['least_side']) for side in shape]
    sides = [side + (about['side_offset'] - side) % about['side_unit'] for side in sides]
    begin = [(whole - side) // 2 for whole, side in zip(sides, shape)]
    widths = [(b, whole - side - b) for b, whole, side in zip(begin, sides, shape)]
    images = [np.pad(array, widths, constant_values=outside) for array in (moving, fixed)]
    (dvf,) = session.run(None, {'images': np.stack(images, -1)[None].astype(np.float32)})
    return dvf[(0, *(slice(b - lost, b - lost + side) for b, side in zip(begin, shape)))]


def register(folder, *images):
    """The DVF of the fixed and the moving image and their masks, a vector image in mm on their grid."""
    grids = [np.r_[i.GetSize(), i.GetOrigin(), i.GetSpacing(), i.GetDirection()] for i in images]
    grids.append(np.r_[grids[0][:6], 1, 1, 1, np.eye(3).ravel()])
    if np.ptp(grids, axis=0).max() > 1e-3:
        sys.exit('All four images must be on one grid with voxels of 1 mm and identity direction.')
    import onnxruntime

    with open(os.path.join(folder, 'networks.json')) as stream:
        model = json.load(stream)
    outside, total = model['outside'], None
    inside = np.nonzero(sum(sitk.GetArrayFromImage(mask) != 0 for mask in images[2:]))[::-1]
    for stage in model['passes']:
        about = model['networks'][str(stage)]
        margin = 10**6 if about['margin_mm'] is None else int(np.ceil(about['margin_mm']))
        box = tuple(slice(max(int(i.min()) - margin, 0), int(i.max()) + margin + 1) for i in inside)
        small = [downsample(image[box], stage) for image in images[:2]]
        small += [mask[box][::stage, ::stage, ::stage] for mask in images[2:]]
        if total is not None:
            total = pull(total, small[0])
            # At 1 mm the whole moving image is there to be read.
            small[1] = pull(small[1] if stage > 1 else images[1], total, total, sitk.sitkBSpline, outside)
            small[3] = pull(small[3], total, total, sitk.sitkNearestNeighbor, 0)
        arrays = [sitk.GetArrayFromImage(image) for image in small]
        fixed, moving = [np.where(mask, np.rint(seen), outside) for seen, mask in zip(arrays, arrays[2:])]
        session = onnxruntime.InferenceSession(os.path.join(folder, about['file']))
        found = on_grid_of(small[0], predict(session, about, moving, fixed, outside))
        if model['symmetric']:
            back = pull(on_grid_of(small[0], predict(session, about, fixed, moving, outside)), found, found)
            mean = (sitk.GetArrayFromImage(found) - sitk.GetArrayFromImage(back)) / 2
            found = on_grid_of(small[0], mean)
        total = found if total is None else found + pull(total, found, found)
    return pull(total, images[0])


if __name__ == '__main__':
    networks, *paths, target = sys.argv[1:]
    kinds = [sitk.sitkFloat32] * 2 + [sitk.sitkUInt8] * 2
    sitk.WriteImage(register(networks, *map(sitk.ReadImage, paths, kinds)), target)
