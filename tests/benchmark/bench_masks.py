"""Lung masks of real scans, whole and cut by the field of view in every way: Dice and pictures.

The truth of a cut is the mask of the whole scan, cut the same way; so the whole masks are to be looked at. Run in the
repository's folder:

    REGNET_REAL_CT=SCANS python -m tests.benchmark.bench_masks --folder FOLDER [--scans NAME ...] [--kinds KIND ...]

SCANS holds NIfTI files and DICOM folders, at any depth. FOLDER gets NAME.json with the Dice of every kind, NAME.png
with the cuts, NAME_whole.png with slices through the whole scan, and masks.html, the table of all of them. What
NAME.json holds already is not done again.
"""

import argparse
import json
import os
import zlib

import numpy as np
import SimpleITK as sitk

COLUMNS = 12  # slices of the whole scan in a row of its picture


def scans(folder):
    """Name -> file or DICOM folder, for all scans below ``folder``."""
    found = {}
    for path, _, names in sorted(os.walk(folder)):
        if any(name.lower().endswith('.dcm') for name in names):
            found[os.path.basename(path)] = path
        found.update({name[:-7]: os.path.join(path, name) for name in sorted(names) if name.endswith('.nii.gz')})
    return found


def cuts(lung, spacing):
    """Name -> slices (z, y, x) of a field of view that cuts a whole scan with these lungs.

    :param lung: bool array ``[z, y, x]``.
    :param spacing: mm, (z, y, x).
    """
    from functions.image.masks import bounding_box

    (z0, z1), (y0, y1), (x0, x1) = [(part.start, part.stop) for part in bounding_box(lung)]
    dz, dy, dx = spacing
    whole, middle, half = slice(None), (z0 + z1) // 2, int(33 / dz)
    found = {'whole': (whole, whole, whole), 'box': (slice(z0, z1), slice(y0, y1), slice(x0, x1))}
    for mm in (6, 20):
        found[f'back {mm}'] = (whole, slice(0, y1 - int(round(mm / dy))), whole)
        found[f'front {mm}'] = (whole, slice(y0 + int(round(mm / dy)), None), whole)
        found[f'left {mm}'] = (whole, whole, slice(0, x1 - int(round(mm / dx))))
        found[f'right {mm}'] = (whole, whole, slice(x0 + int(round(mm / dx)), None))
    found['right half'] = (whole, whole, slice(0, (x0 + x1) // 2))
    found['left half'] = (whole, whole, slice((x0 + x1) // 2, None))
    found['slab'] = (slice(middle - half, middle + half), whole, whole)
    found['slab low'] = (slice(z0 + int(20 / dz), z0 + int(86 / dz)), whole, whole)
    found['slab high'] = (slice(z1 - int(100 / dz), z1 - int(34 / dz)), whole, whole)
    found['base cut'] = (slice(z0 + int(30 / dz), None), whole, whole)
    found['top cut'] = (slice(None, z1 - int(30 / dz)), whole, whole)
    return found


def kinds(hu, lung, spacing):
    """Yield (name, array, slices, seen): what a scanner or a program could have left of a scan.

    :param hu, lung: int16 and bool arrays ``[z, y, x]``: the whole scan and its lungs.
    :param spacing: mm, (z, y, x).
    :return: ``array``: values to be read; ``slices``: where they lie in the whole scan; ``seen``: bool array of the
        voxels of the whole scan that can be lung, or None for all.
    """
    from functions.image.masks import bounding_box

    (z0, z1), (y0, y1), (x0, x1) = [(part.start, part.stop) for part in bounding_box(lung)]
    dz, dy, dx = spacing
    whole, middle = slice(None), (z0 + z1) // 2
    for name, part in cuts(lung, spacing).items():
        yield name, hu[part], part, None
    everything = (whole, whole, whole)
    y, x = np.ogrid[: hu.shape[1], : hu.shape[2]]
    off = ((y - (y0 + y1) / 2) * dy) ** 2 + ((x - (x0 + x1) / 2) * dx) ** 2
    for name, radius in (('narrow', 0.42 * (x1 - x0) * dx), ('round', 0.5 * hu.shape[2] * dx)):
        disk = np.broadcast_to(off < radius**2, hu.shape)
        for value in (-1024, -2000, -3024, 0, 65535):
            padded = np.where(disk, hu.astype(np.int32), value)
            yield f'{name} {value}', padded, everything, disk
    rng = np.random.RandomState(0)
    noise = (rng.randn(*hu.shape) * 15).astype(np.int16)
    # A shell flush with the back, foam behind it.
    table, behind = hu.copy(), hu[middle, y1:, x0:x1] < -300
    back = y1 + int(np.where(behind.any(axis=0), behind.argmax(axis=0), len(behind) - 4).max() - 2 / dy)
    table[:, back:] = noise[:, back:] - 900
    table[:, back : back + int(round(3 / dy))] = noise[:, back : back + int(round(3 / dy))] + 50
    yield 'table', table, everything, None
    yield 'very dense', np.where(lung & (hu < -500), hu + 200, hu), everything, None
    yield 'emphysema', np.where(lung & (hu < -700), np.maximum(hu - 80, -1024), hu), everything, None
    away = sitk.GetImageFromArray(lung.view(np.uint8))
    away.SetSpacing(spacing[::-1])
    away = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(away, False, False, True)) > 6
    ball = ((np.arange(hu.shape[0])[:, None, None] - z0) * dz) ** 2 + off < 45.0**2
    gas = np.where(ball & away & (hu > -200), noise - 990, hu)
    yield 'bowel gas', gas, everything, None
    left = lung & (x > (x0 + x1) / 2)
    low = np.arange(hu.shape[0])[:, None, None] < z0 + 0.6 * (z1 - z0)
    fluid = left & low & (y > y0 + 0.4 * (y1 - y0))
    yield 'fluid', np.where(fluid, 15 + noise, hu), everything, ~fluid
    yield 'one lung', np.where(left, 15 + noise, hu), everything, ~left


def found_mask(array, origin, like, done):
    """Mask as registration makes it, on the grid of ``array``, of an image that has these values.

    :param done: dictionary of masks already made, by what was read.
    """
    from functions.registration.input_scan import isotropic_scan, read_scan

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(like.GetSpacing())
    image.SetOrigin(like.TransformIndexToPhysicalPoint(origin))
    raw = read_scan(image, 'fixed')
    key = zlib.crc32(sitk.GetArrayFromImage(raw.native)), array.shape
    if key not in done:
        mask = isotropic_scan(raw, 'Lung').masks['Lung']
        soft = sitk.Resample(sitk.Cast(mask, sitk.sitkFloat32), image, sitk.Transform(), sitk.sitkLinear, 0)
        done[key] = sitk.GetArrayFromImage(soft) >= 0.5
    return done[key]


def dice(a, b):
    """Dice overlap of two bool arrays."""
    return 2.0 * np.count_nonzero(a & b) / max(np.count_nonzero(a) + np.count_nonzero(b), 1)


def measure(source, wanted, known, shown):
    """Fill ``known`` (kind -> Dice) and ``shown`` (kind -> (array, mask)) for one scan; its spacing (z, y, x)."""
    from functions.preprocessing.hounsfield import load_ct
    from functions.preprocessing.isotropic import along_axes
    from functions.setting.errors import InputError

    image = along_axes(load_ct(source))
    hu = sitk.GetArrayFromImage(image)
    done = {}
    lung = found_mask(hu, (0, 0, 0), image, done)
    for name, array, part, seen in kinds(hu, lung, image.GetSpacing()[::-1]):
        if (wanted and name not in wanted) or name in known:
            continue
        origin = [int(side.start or 0) for side in part[::-1]]
        try:
            mask = found_mask(array, origin, image, done)
        except InputError as error:
            print(f'{name}: {error}')
            mask = np.zeros(array.shape, bool)
        truth = (lung if seen is None else lung & seen)[part]
        known[name] = round(dice(mask, truth), 4)
        shown[name] = (array, mask)
        print(f'  {name} {known[name]:.4f}', flush=True)
    return image.GetSpacing()[::-1]


def drawn(section, mask, aspect, axes, title=''):
    """A section with the border of its mask."""
    axes.imshow(np.clip(section, -1100, 400), cmap='gray', aspect=aspect)
    if mask.any() and not mask.all():
        axes.contour(mask, [0.5], colors='red', linewidths=0.6)
    axes.set_title(title, fontsize=6, pad=1)
    axes.axis('off')


def around(mask, spacing, margin=25.0):
    """Slices of the box of a mask and ``margin`` mm around it; of everything where the mask is empty."""
    box = []
    for axis, step in enumerate(spacing):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        used = used if used.size else np.arange(mask.shape[axis])
        box.append(slice(max(int(used[0] - margin / step), 0), int(used[-1] + margin / step)))
        box[-1] = slice(box[-1].start, min(box[-1].stop, mask.shape[axis]))
    return box


def pictures(stem, shown, known, spacing):
    """Write the pictures of one scan: the whole in slices, and two sections of every cut."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    dz, dy, dx = spacing

    def save(panels, columns, path):
        rows = -(-len(panels) // columns)
        figure, axes = pyplot.subplots(rows, columns, figsize=(1.6 * columns, 1.5 * rows), squeeze=False)
        for place in axes.flat:
            place.axis('off')
        for place, panel in zip(axes.flat, panels):
            drawn(*panel[:3], place, panel[3])
        figure.subplots_adjust(0, 0, 1, 0.99, 0.02, 0.1)
        figure.savefig(path, dpi=110)
        pyplot.close(figure)

    def section(hu, mask, axis, place, title):
        part = around(mask, spacing)
        part[axis] = place
        part = tuple(part)
        if axis == 0:
            return hu[part], mask[part], dy / dx, title
        return hu[part][::-1], mask[part][::-1], dz / dx, title

    if 'whole' in shown:
        hu, mask = shown['whole']
        panels = []
        for axis, number, name in ((0, 3 * COLUMNS, 'z'), (1, COLUMNS, 'y')):
            used = around(mask, spacing)[axis]
            for place in np.linspace(used.start, used.stop - 1, number).round().astype(int):
                panels.append(section(hu, mask, axis, place, f'{name} {place}'))
        save(panels, COLUMNS, stem + '_whole.png')
    panels = []
    for name, (hu, mask) in shown.items():
        used = around(mask, spacing)[1]
        panels.append(section(hu, mask, 1, int(0.45 * used.start + 0.55 * used.stop), f'{name}: {known[name]:.3f}'))
        volume = f'{mask.sum() * dx * dy * dz / 1000:.0f} ml'
        panels.append(section(hu, mask, 0, int(mask.sum(axis=(1, 2)).argmax()), volume))
    if panels:
        save(panels, COLUMNS, stem + '.png')


def main(words=None):
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--folder', required=True)
    parser.add_argument('--scans', nargs='+', default=[])
    parser.add_argument('--kinds', nargs='+', default=[])
    arguments = parser.parse_args(words)
    os.makedirs(arguments.folder, exist_ok=True)
    table = {}
    for name, source in scans(os.environ['REGNET_REAL_CT']).items():
        if arguments.scans and name not in arguments.scans:
            continue
        print(name, flush=True)
        stem = os.path.join(arguments.folder, name)
        known, shown = {}, {}
        if os.path.exists(stem + '.json'):
            with open(stem + '.json') as stream:
                known = json.load(stream)
        spacing = measure(source, arguments.kinds, known, shown)
        with open(stem + '.json', 'w') as stream:
            json.dump(known, stream, indent=1)
        pictures(stem, shown, known, spacing)
        table[name] = known
    names = list(max(table.values(), key=len))
    lines = ['| scan | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    for name, known in table.items():
        lines.append(
            f'| {name} | ' + ' | '.join(f'{known[kind]:.3f}' if kind in known else '' for kind in names) + ' |'
        )
    print('\n'.join(lines))
    with open(os.path.join(arguments.folder, 'masks.html'), 'w') as stream:
        for name in table:
            stream.write(f'<h2>{name}</h2><img src="{name}_whole.png"><br><img src="{name}.png">\n')


if __name__ == '__main__':
    main()
