"""Registers two chest CTs by networks in ONNX, with NumPy, SimpleITK and onnxruntime alone.

    python run_onnx.py NETWORKS FIXED MOVING FIXED_MASK MOVING_MASK DVF

NETWORKS is a folder that ``regnet export chest NETWORKS`` has written. The images are in HU, the masks those of what
``networks.json`` names (the lungs), all four on one grid with voxels of 1 mm and identity direction, the moving ones
as the affine registration left them. All passes of the set run, each in one piece in the box around the masks, and the
DVF (mm, fixed to moving, without the affine) is written on that grid; beyond the box it keeps the values at the faces
of the box. Not done here: resampling to 1 mm, masks, the affine registration, tiles, leaving out a pass that does not
help.
"""

import json
import os
import sys

import numpy as np
import SimpleITK as sitk


def cut(images, masks, margin):
    """The images in the smallest box around the masks, ``margin`` voxels wider."""
    inside = np.nonzero(sum(sitk.GetArrayFromImage(mask) != 0 for mask in masks))[::-1]
    box = tuple(slice(max(int(i.min()) - margin, 0), int(i.max()) + margin + 1) for i in inside)
    return [image[box] for image in images]


def downsample(image, factor):
    """Every ``factor``-th voxel after the low-pass filter of training, a cubic B-spline."""
    if factor == 1:
        return image
    array, offsets = sitk.GetArrayFromImage(image), np.arange(1 - 2 * factor, 2 * factor)
    t = np.abs(offsets) / factor
    taps = np.where(t < 1, t**3 / 2 - t**2 + 2 / 3, (2 - t) ** 3 / 6)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis, side in enumerate(array.shape):
        kept = np.arange(0, side, factor)
        array = sum(tap * array.take(np.clip(kept + o, 0, side - 1), axis) for o, tap in zip(offsets, taps))
    small = sitk.GetImageFromArray(np.rint(array))
    small.SetOrigin(image.GetOrigin())
    small.SetSpacing([factor * spacing for spacing in image.GetSpacing()])
    return small


def resample(image, grid, interpolator, outside=None, dvf=None):
    """``image(p + dvf(p))`` on a grid; outside the image the value ``outside``, or with None that at its edge."""
    moves = sitk.Transform()
    if dvf is not None:
        moves = sitk.DisplacementFieldTransform(sitk.Cast(dvf, sitk.sitkVectorFloat64))
    return sitk.Resample(image, grid, moves, interpolator, outside or 0.0, image.GetPixelID(), outside is None)


def predict(session, about, moving, fixed, outside):
    """The DVF of two arrays [z, y, x], padded to a size that the network takes."""
    lost, shape = about['smaller_by'], fixed.shape
    sides = [max(side + 2 * lost, about['least_side']) for side in shape]
    sides = [side + (about['side_offset'] - side) % about['side_unit'] for side in sides]
    begin = [(whole - side) // 2 for whole, side in zip(sides, shape)]
    images = np.full([1, *sides, 2], outside, np.float32)
    images[(0, *(slice(b, b + side) for b, side in zip(begin, shape)))] = np.stack([moving, fixed], -1)
    (dvf,) = session.run(None, {'images': images})
    return dvf[(0, *(slice(b - lost, b - lost + side) for b, side in zip(begin, shape)))]


def register(folder, fixed, moving, fixed_mask, moving_mask):
    """The DVF of two images, a vector image in mm on their grid."""
    for image in (fixed, moving, fixed_mask, moving_mask):
        grid = [image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()]
        needed = [fixed.GetSize(), fixed.GetOrigin(), (1.0, 1.0, 1.0), np.eye(3).ravel()]
        if not np.allclose(np.concatenate(grid), np.concatenate(needed), atol=1e-3):
            sys.exit('All four images must be on one grid with voxels of 1 mm and identity direction.')
    import onnxruntime

    with open(os.path.join(folder, 'networks.json')) as stream:
        model = json.load(stream)
    outside, total = model['outside'], None
    for stage in model['passes']:
        about = model['networks'][str(stage)]
        margin = 10**6 if about['margin_mm'] is None else about['margin_mm']
        images = cut((fixed, moving, fixed_mask, moving_mask), (fixed_mask, moving_mask), margin)
        masks = [mask[::stage, ::stage, ::stage] for mask in images[2:]]
        images = [downsample(image, stage) for image in images[:2]]
        if total is not None:
            total = resample(total, images[0], sitk.sitkLinear)
            masks[1] = resample(masks[1], images[0], sitk.sitkNearestNeighbor, 0, total)
            # At 1 mm the whole moving image is there to be read.
            images[1] = resample(images[1] if stage > 1 else moving, images[0], sitk.sitkBSpline, outside, total)
        seen = [sitk.GetArrayFromImage(image) for image in images + masks]
        seen = [np.where(mask, np.rint(image), outside) for image, mask in zip(seen[:2], seen[2:])]
        session = onnxruntime.InferenceSession(os.path.join(folder, about['file']))
        found = sitk.GetImageFromArray(predict(session, about, seen[1], seen[0], outside), isVector=True)
        found.CopyInformation(images[0])
        total = found if total is None else found + resample(total, found, sitk.sitkLinear, dvf=found)
    return resample(total, fixed, sitk.sitkLinear)


if __name__ == '__main__':
    networks, *paths, target = sys.argv[1:]
    kinds = [sitk.sitkFloat32] * 2 + [sitk.sitkUInt8] * 2
    sitk.WriteImage(register(networks, *map(sitk.ReadImage, paths, kinds)), target)
