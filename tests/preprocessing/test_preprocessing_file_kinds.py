"""Every row of docs/files.md, on files that are made here."""

import logging
import os
import re
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import IMAGE, write_dicom, write_slices
from nifti_files import affine, write_nifti

from functions.image.manifest import fingerprint, with_times_of
from functions.image.point_files import read_points
from functions.image.volume_io import array_view
from functions.measure.orientation import swapped_sides
from functions.preprocessing.hounsfield import load_ct
from functions.setting.errors import InputError

DOCUMENT = os.path.join(os.path.dirname(__file__), '..', '..', 'docs', 'files.md')
SHAPE = (24, 40, 44)


def chest():
    """HU ``[z, y, x]`` with the peaks of air, lung, fat and muscle; the heart lies left, the spine behind."""
    rng = np.random.RandomState(0)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing='ij')
    hu = np.full(SHAPE, -1000.0)
    body = x**2 + y**2 < 0.9
    hu[body] = 45
    hu[body & (x**2 + y**2 > 0.72)] = -102
    wide = 0.65 - 0.35 * z  # narrow at the top
    lungs = (((np.abs(x) - 0.4) / 0.33) ** 2 + (y / 0.6) ** 2 < wide**2) & (np.abs(z) < 0.85)
    hu[lungs & ~((x - 0.2) ** 2 + (y + 0.25) ** 2 + (z + 0.4) ** 2 < 0.12)] = -830
    hu[(x**2 + (y - 0.62) ** 2 < 0.015)] = 400
    return np.maximum(np.rint(hu + rng.normal(0, 12, SHAPE)), -1024).astype(np.int16), lungs


HU, LUNGS = chest()


class Kinds:
    """What a row's test needs: a folder, the log, and what is expected."""

    def __init__(self, folder, caplog):
        self.folder, self.caplog = str(folder), caplog

    def path(self, name):
        return os.path.join(self.folder, name)

    def image(self, name, array=HU, **arguments):
        sitk.WriteImage(sitk.GetImageFromArray(array, **arguments), self.path(name))
        return self.path(name)

    def read(self, path, series=None, says='', hu=HU):
        """Read, compare with the HU that were written, and with the log."""
        self.caplog.clear()
        with self.caplog.at_level(logging.WARNING):
            image = load_ct(path, series)
        np.testing.assert_array_equal(array_view(image), hu)
        assert re.search(says, self.caplog.text) and bool(says) == bool(self.caplog.text), self.caplog.text
        return image

    def refuses(self, path, words, series=None, read=load_ct):
        with pytest.raises(InputError, match=words) as caught:
            read(path, series) if read is load_ct else read(path)
        assert os.path.basename(self.folder) in str(caught.value) and '\n' not in str(caught.value)

    def slices(self, name, change=lambda k: {}, hu=HU, **options):
        return write_slices(self.path(name), hu, change, **options)


# ---- images


def formats_of_one_file(kinds):
    for name in ('a.mha', 'a.nii', 'a.nii.gz', 'a.nrrd'):
        kinds.read(kinds.image(name))


def formats_of_two_files(kinds):
    for header, data in (('a.mhd', 'a.raw'), ('b.nhdr', 'b.raw'), ('c.hdr', 'c.img')):
        kinds.read(kinds.image(header))
        names = [os.path.basename(entry['path']) for entry in fingerprint(kinds.path(header))]
        assert names == [header, data]
    path = kinds.image('d.mhd')
    os.rename(kinds.path('d.raw'), kinds.path('voxels.bin'))
    with open(path) as stream:
        text = stream.read()
    with open(path, 'w') as stream:
        stream.write(text.replace('d.raw', 'voxels.bin'))
    kinds.read(path)
    before = fingerprint(path)
    with open(kinds.path('voxels.bin'), 'r+b') as stream:
        stream.write(b'\1\2\3\4')
    assert fingerprint(path)[1] != before[1] and fingerprint(path)[0] == before[0]


def lists_of_slices(kinds):
    for name, old, new in (('a.mhd', 'a.raw', 'LIST\na.raw'), ('b.mhd', 'b.raw', 'b%03d.raw 1 2 1')):
        path = kinds.image(name)
        with open(path) as stream:
            text = stream.read()
        with open(path, 'w') as stream:
            stream.write(text.replace(old, new))
        kinds.refuses(path, 'one file per slice')


def damaged_files(kinds):
    for name in ('a.mha', 'a.nii', 'a.nii.gz', 'a.nrrd'):
        path = kinds.image(name)
        os.truncate(path, os.path.getsize(path) - 10)
        kinds.refuses(path, 'cut short|damaged')


def other_dimensions(kinds):
    kinds.refuses(kinds.image('flat.mha', HU[0]), '2 dimensions')
    kinds.refuses(kinds.image('colour.mha', np.zeros(SHAPE + (3,), np.uint8), isVector=True), 'colour')
    series = sitk.JoinSeries([sitk.GetImageFromArray(HU)] * 2)
    sitk.WriteImage(series, kinds.path('time.nii'))
    kinds.refuses(kinds.path('time.nii'), '4 dimensions')


def other_files(kinds):
    for name in ('a.png', 'a.tif'):
        kinds.refuses(kinds.image(name, np.zeros((9, 9), np.uint8)), f'{name} cannot be read; accepted: .mha')
    kinds.slices('series')
    kinds.refuses(os.path.join(kinds.path('series'), 's01.dcm'), 'accepted: .*folders with a DICOM series')


# ---- DICOM


def one_series(kinds):
    folder = kinds.slices('series')
    for k in range(len(HU)):
        os.rename(os.path.join(folder, f's{k:02d}.dcm'), os.path.join(folder, str((7 * k) % len(HU))))
    image = kinds.read(folder)
    np.testing.assert_allclose(image.GetSpacing(), (0.7, 0.8, 2.5))
    np.testing.assert_allclose(image.GetOrigin(), (-20, -30, 50))


def slices_that_differ(kinds):
    def one(tag, value):
        return lambda k: {tag: value} if k == 9 else {}

    kinds.refuses(kinds.slices('spacing', one('0028|0030', '0.8\\0.71')), 's00.dcm and s09.dcm differ in PixelSpacing')
    turned = kinds.slices('turned', one('0020|0037', '0.9998\\0.02\\0\\-0.02\\0.9998\\0'))
    kinds.refuses(turned, 's09.dcm differ in ImageOrientationPatient')
    for number, text in enumerate(('1e200\\0\\0\\0\\1\\0', '0\\0\\0\\0\\1\\0', '1\\1\\0\\0\\0\\1')):
        lengths = kinds.slices(f'lengths{number}', lambda k, text=text: {'0020|0037': text})
        kinds.refuses(lengths, 'orientation .* cannot be used|cannot be used.*orientation')
    folder = kinds.slices('rows')
    write_slices(os.path.join(folder, 'other'), HU[:, 1:])
    os.replace(os.path.join(folder, 'other', 's09.dcm'), os.path.join(folder, 's09.dcm'))
    kinds.refuses(folder, 's00.dcm and s09.dcm differ in Rows: 40 and 39')
    write_slices(os.path.join(folder, 'other'), HU[:, :, 1:])
    os.replace(os.path.join(folder, 'other', 's09.dcm'), os.path.join(folder, 's09.dcm'))
    kinds.refuses(folder, 's00.dcm and s09.dcm differ in Columns: 44 and 43')


def at(x, y, z):
    return {'0020|0032': f'{x:.4f}\\{y:.4f}\\{z:.4f}'}


def uneven_slices(kinds):
    folder = kinds.slices('missing')
    os.remove(os.path.join(folder, 's09.dcm'))
    kinds.refuses(folder, 's08.dcm and s10.dcm are 5 mm apart')
    doubled = kinds.slices('doubled', lambda k: at(-20, -30, 50 + 2.5 * min(k, len(HU) - 2)))
    kinds.refuses(doubled, 'same place, e.g. s22.dcm and s23.dcm')
    growing = kinds.slices('growing', lambda k: at(-20, -30, 50 + 2.4 * k + 0.008 * k**2))
    kinds.refuses(growing, 'unevenly spaced|distance of the slices changes')


def slices_off_the_line(kinds):
    jump = kinds.slices('jump', lambda k: at(-20 + 20 * (k == 12), -30, 50 + 2.5 * k))
    kinds.refuses(jump, 's12.dcm is shifted sideways by 20 mm')
    drift = kinds.slices('drift', lambda k: at(-20, -30 + 0.045 * k, 50 + 2.5 * k))
    kinds.refuses(drift, 's23.dcm is shifted sideways by 1.0. mm .*tilted gantry')


def alternating_acquisitions(kinds):
    kinds.refuses(kinds.slices('phases', lambda k: {'0020|0012': 1 + k % 2}), 'acquisitions 1, 2 alternate')
    kinds.read(kinds.slices('halves', lambda k: {'0020|0012': 1 + (k > 11)}))
    kinds.read(kinds.slices('rotations', lambda k: {'0020|0012': 1 + k}))


def rescaled_slice_by_slice(kinds):
    kinds.read(kinds.slices('intercept', lambda k: {'0028|1052': str(-1024 - 1000 * k)}))
    kinds.read(kinds.slices('type', lambda k: {'0028|0103': k % 2}))
    even = HU // 2 * 2
    kinds.read(
        kinds.slices('slope', lambda k: {'0028|1053': '2', '0028|1052': '-1024'} if k % 2 else {}, even), hu=even
    )


def rescaled_in_part(kinds):
    folder = kinds.slices('part', lambda k: {'0028|1052': None, '0028|1053': None} if k == 9 else {})
    kinds.refuses(folder, 's00.dcm and s09.dcm differ in RescaleIntercept: -1024 and None')


def inverted_or_colour(kinds):
    kinds.refuses(kinds.slices('inverted', lambda k: {'0028|0004': 'MONOCHROME1'}), 's00.dcm is stored as MONOCHROME1')
    kinds.refuses(kinds.slices('one', lambda k: {'0028|0004': 'MONOCHROME1'} if k == 5 else {}), 's05.dcm is stored as')
    kinds.refuses(kinds.slices('colour', lambda k: {'0028|0004': 'YBR_FULL'}), 'stored as YBR_FULL')


def damaged_slice(kinds):
    path = os.path.join(kinds.slices('series'), 's23.dcm')
    os.truncate(path, os.path.getsize(path) - 1)
    kinds.refuses(kinds.path('series'), 's23.dcm is cut short|damaged.*: s23.dcm')


def no_slices(kinds):
    folder = kinds.slices('series')
    common = {'0008|0018': '1.2.9', '0020|000d': '1.2.4', '0020|000e': '1.2.99', '0028|0030': '5\\5'}
    common.update({'0020|0032': '0\\0\\0', '0020|0037': '1\\0\\0\\0\\1\\0'})
    pixels = np.zeros((5, 6), np.uint16)
    for kind, number, image in (
        ('RTDOSE', '481.2', pixels),
        ('RTPLAN', '481.5', None),
        ('RTSTRUCT', '481.3', None),
        ('SR', '88.22', None),
    ):
        tags = dict(common, **{'0008|0016': IMAGE + number, '0008|0060': kind})
        write_dicom(os.path.join(folder, kind), tags, image)
        kinds.read(folder, says=rf'passed over \(1\), no slices: {kind} \({kind}\)')
        os.remove(os.path.join(folder, kind))
    tags = dict(common, **{'0008|0016': IMAGE + '481.2', '0008|0060': 'RTDOSE', '0028|0008': 4})
    write_dicom(os.path.join(folder, 'dose'), tags, np.zeros((4, 5, 6), np.uint16))
    write_dicom(os.path.join(folder, 'index'), {'0008|0016': '1.2.840.10008.1.3.10'})
    tags = dict(common, **{'0008|0016': IMAGE + '2', '0008|0060': 'CT', '0008|0008': 'ORIGINAL\\PRIMARY\\LOCALIZER'})
    write_dicom(os.path.join(folder, 'scout'), tags, pixels)
    tags = {'0008|0016': IMAGE + '7', '0008|0018': '1.2', '0008|0060': 'CT', '0020|000e': '1.2.98'}
    write_dicom(os.path.join(folder, 'screen'), tags, pixels)
    said = r'dose \(RTDOSE\), index \(DICOMDIR\), scout \(localizer\), screen \(no position\)'
    kinds.read(folder, says=said)


def several_series(kinds):
    folder = kinds.slices('series')
    other = {'0020|0011': '7', '0008|103e': 'lung 5.0'}
    kinds.slices('series', lambda k: other, HU[::2], series='1.2.6', prefix='t', step=5)
    listed = (
        '2 DICOM series; .*number 3, chest 2.5, 24 slices, 0.7 x 0.8 x 2.5 mm, 1.2.5; '
        'number 7, lung 5.0, 12 slices, 0.7 x 0.8 x 5 mm, 1.2.6'
    )
    kinds.refuses(folder, listed)
    kinds.refuses(folder, 'no series 8; .*number 3', series=8)
    for series in (7, '7', '1.2.6'):
        assert kinds.read(folder, series, hu=HU[::2]).GetSpacing()[2] == pytest.approx(5)
    kinds.read(folder, '1.2.5')
    kinds.refuses(kinds.image('a.mha'), 'no folder', series=3)


def multi_frame(kinds):
    tags = {'0008|0018': '1.2', '0008|0060': 'CT', '0020|000e': '1.2.5', '0020|0032': '0\\0\\0', '0028|0008': 4}
    tags.update({'0020|0037': '1\\0\\0\\0\\1\\0', '0028|0030': '0.7\\0.7'})
    for number in ('2', '2.1'):
        os.mkdir(kinds.path(number))
        name = os.path.join(kinds.path(number), 'ct.dcm')
        write_dicom(name, dict(tags, **{'0008|0016': IMAGE + number}), np.zeros((4, 5, 6), np.uint16))
        kinds.refuses(kinds.path(number), 'ct.dcm holds several slices in one file')
        kinds.refuses(name, 'folders with a DICOM series')


# ---- NIfTI


def not_finite(kinds):
    for name, values in (('a.nii', [np.nan]), ('b.nii', [np.inf, -np.inf])):
        array = HU.astype(np.float32)
        array.ravel()[[77, 9999][: len(values)]] = values
        kinds.refuses(write_nifti(kinds.path(name), array, sform=affine()), f'{len(values)} values that are NaN')


def lies_as(kinds, name, origin, says, spacing=(1, 1, 2), **header):
    """The grid in ITK's axes is that of ``origin`` in RAS."""
    image = kinds.read(write_nifti(kinds.path(name), HU, **header), says=says)
    np.testing.assert_allclose(image.GetSpacing(), spacing, atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), np.array(origin) * (-1, -1, 1), atol=1e-3)


def two_forms(kinds):
    for name, flip in (('oblique.nii', 1), ('lefthanded.nii', -1)):
        image = sitk.GetImageFromArray(HU)
        turned = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0], [0.48, 0.64, 0.6]]) * (1, 1, flip)
        image.SetDirection(turned.ravel().tolist())
        sitk.WriteImage(image, kinds.path(name))
        np.testing.assert_allclose(kinds.read(kinds.path(name)).GetDirection(), image.GetDirection(), atol=1e-6)
    lies_as(kinds, 'equal.nii', (5, 6, 7), '', qform=(5, 6, 7), sform=affine())
    lies_as(kinds, 'near.nii', (5, 6, 7), '', qform=(5, 6, 7.05), sform=affine())
    said = 'its qform and sform are up to 0.2 mm apart; the sform is used'
    lies_as(kinds, 'apart.nii', (5, 6, 7), said, qform=(5, 6, 7.2), sform=affine())
    said = 'its sform and qform are up to 45 mm apart; the qform is used'
    lies_as(kinds, 'other.nii', (5, 6, 7), said, qform=(5, 6, 7), sform=affine(origin=(50, 6, 7)), codes=(1, 2))


def other_pixdim(kinds):
    for name, pixdim in (('a.nii', (1, 1, 1)), ('b.nii', (1, 1, -2)), ('c.nii', (1, 1, 0))):
        lies_as(kinds, name, (5, 6, 7), 'do not fit the sform .*; the sform is used', pixdim=pixdim, sform=affine())
    metres = {'pixdim': (0.001, 0.001, 0.002), 'sform': affine() / 1000, 'units': 1}
    image = load_ct(write_nifti(kinds.path('metres.nii'), HU, **metres))
    np.testing.assert_allclose(image.GetSpacing() + image.GetOrigin(), (1, 1, 2, -5, -6, 7), rtol=1e-6)


def no_form(kinds):
    lies_as(kinds, 'a.nii', (0, 0, 0), 'no qform, no sform')


def sheared(kinds):
    kinds.refuses(write_nifti(kinds.path('a.nii'), HU, sform=affine(shear=0.05)), 'is sheared .*not at right angles')
    header = {'sform': affine(shear=0.05), 'qform': (5, 6, 7)}
    kinds.refuses(write_nifti(kinds.path('b.nii'), HU, **header), 'is sheared')
    kinds.refuses(write_nifti(kinds.path('c.nii'), HU, sform=affine(shear=0.001)), 'is sheared')


def other_nifti(kinds):
    kinds.refuses(write_nifti(kinds.path('a.nii'), HU, magic=b'\0\0\0\0'), 'Analyze 7.5')
    with open(kinds.path('b.nii'), 'wb') as stream:
        stream.write(struct.pack('<i', 540) + b'n+2\0\r\n\x1a\n' + b'\0' * 600)
    kinds.refuses(kinds.path('b.nii'), 'NIfTI-2')


# ---- values


def plain_hu(kinds):
    kinds.read(kinds.image('a.mha'))
    unseen = HU.copy()
    unseen[:, :3] = -3024
    kinds.read(kinds.image('b.mha', unseen), hu=np.maximum(unseen, -1024))


def one_offset(kinds):
    for offset in (1024, 1000):
        path = kinds.image(f'{offset}.mha', np.maximum(HU + offset, 0).astype(np.uint16))
        kinds.read(path, says=rf'HU \+{offset} and corrected', hu=np.maximum(HU, -offset))


def two_offsets(kinds):
    for offset in (2048, 2000, -1024, -1000):
        path = kinds.image(f'{offset}.mha', (HU + offset).astype(np.int16))
        kinds.read(path, says=rf'HU \{offset:+d} and corrected', hu=HU)


def wrapped_around(kinds):
    kinds.read(kinds.image('a.mha', HU.view(np.uint16)), says='wrapped around; mended', hu=HU)


def padded(kinds):
    outside, array = np.zeros(SHAPE, bool), (HU + 1024).astype(np.uint16)
    outside[:, :4] = True
    array[outside] = 65535
    kinds.read(kinds.image('a.mha', array), says=r'HU \+1024', hu=np.where(outside, -1024, HU))
    array = np.where(outside, np.uint16(65535), HU.view(np.uint16))
    kinds.read(kinds.image('b.mha', array), says='wrapped', hu=np.where(outside, -1024, HU))


def without_peaks(kinds):
    array = np.where(LUNGS, HU, -1000).astype(np.int16)
    array[:, 0, 0] = 30
    kinds.read(kinds.image('lungs.mha', array), says='without the peaks .* unchecked', hu=array)


def no_hu(kinds):
    rng = np.random.RandomState(0)
    magnetic = np.where(HU < -500, 30, 600 * rng.uniform(0.3, 2, SHAPE))
    for name, values in (
        ('mr', magnetic),
        ('cbct', np.where(HU > -500, HU - 350, HU)),
        ('squeezed', HU * 0.6 - 400),
        ('attenuation', (HU + 1000) * 0.5),
        ('fraction', (HU + 1000) / 1000),
    ):
        kinds.refuses(kinds.image(name + '.mha', values.astype(np.float32)), 'not those of a chest CT')


# ---- again and against each other


def same_name_size_and_time(kinds):
    found = []
    for folder, value in (('pa', 1), ('pb', 2), ('pc', 2)):
        os.mkdir(kinds.path(folder))
        path = kinds.image(os.path.join(folder, 'scan.mha'), np.full((70, 160, 200), value, np.int16))
        os.utime(path, (10**9, 10**9))
        found.append(fingerprint(path))
    assert found[0] != found[1] != found[2] and found == [fingerprint(entry[0]['path']) for entry in found]
    assert all(entry[0][name] == found[0][0][name] for entry in found for name in ('bytes', 'mtime_ns'))
    for name in ('sampled_checksum', 'file_checksum'):
        assert found[0][0][name] != found[1][0][name] == found[2][0][name]
    for place in (0.001, 0.5, 0.999):
        path = found[0][0]['path']
        with open(path, 'r+b') as stream:
            stream.seek(int(place * os.path.getsize(path)))
            stream.write(b'?')
        os.utime(path, (10**9, 10**9))
        now = fingerprint(path)
        assert now != found[0]
        found[0] = now
    folder = kinds.slices('series')
    before = fingerprint(folder)
    assert len(before) == len(HU)
    os.utime(os.path.join(folder, 's03.dcm'), (10**9, 10**9))
    assert fingerprint(folder) != before


def touched(kinds):
    for path in (kinds.image('scan.mha'), kinds.slices('series')):
        before = fingerprint(path)
        os.utime(before[0]['path'], (10**9, 10**9))
        now = fingerprint(path)
        assert with_times_of(before, now) == now != before
        with open(before[0]['path'], 'r+b') as stream:
            stream.write(b'?')
        changed = fingerprint(path)
        assert with_times_of(before, changed) != changed


def swapped(kinds):
    images = [sitk.GetImageFromArray(HU), sitk.GetImageFromArray(LUNGS.astype(np.uint8))]
    assert swapped_sides(images[0], images[0], images[1], images[1])[0] == ''
    for axes, said in (
        ((2,), 'left and right'),
        ((1, 2), 'front and back and left and right'),
        ((0,), 'top and bottom'),
    ):
        turned = [sitk.GetImageFromArray(np.flip(array, axes).copy()) for array in (HU, LUNGS.astype(np.uint8))]
        text, before, after = swapped_sides(images[0], turned[0], images[1], turned[1])
        assert text == said and after > before + 0.1


# ---- points


def written(kinds, name, text):
    with open(kinds.path(name), 'w') as stream:
        stream.write(text)
    return kinds.path(name)


def tables_of_points(kinds):
    for text, expected in (
        ('x,y,z\n1.5,2,3\n', [[1.5, 2, 3]]),
        ('label,l,p,s,defined,selected\nF-1,1.5,2,3,1,1\n', [[1.5, 2, 3]]),
        ('label,r,a,s\nF-1,10,20,30\n', [[-10, -20, 30]]),
        ('x (mm),y (mm),z (mm)\n1,2,3\n', [[1, 2, 3]]),
    ):
        np.testing.assert_allclose(read_points(written(kinds, 'p.csv', text)).points, expected)
    unplaced = written(kinds, 'q.csv', 'label,l,p,s,defined\nF-1,0,0,0,0\n')
    kinds.refuses(unplaced, 'not placed', read=read_points)


def semicolons(kinds):
    for text in ('x;y;z\n1.5;2;3\n', '1.5;2;3\n', '1,5;2,0;3,0\n'):
        kinds.refuses(written(kinds, 'p.csv', text), 'semicolons; commas are needed', read=read_points)


def whole_numbers(kinds):
    for name, text in (('p.csv', 'x,y,z\n10,20,30\n'), ('q.csv', '10,20,30\n'), ('p.txt', '10 20 30\n')):
        path = written(kinds, name, text)
        kinds.refuses(path, 'whole numbers.*Name the format', read=read_points)
        grid = sitk.GetImageFromArray(np.zeros((40, 40, 40), np.uint8))
        grid.SetSpacing((2, 2, 2))
        np.testing.assert_allclose(read_points(path, grid, 'elastix_index').points, [[20, 40, 60]])
    np.testing.assert_allclose(read_points(kinds.path('p.csv'), file_format='csv').points, [[10, 20, 30]])


TESTS = {
    '`.mha`, `.nii`': formats_of_one_file,
    '`.mhd`, `.nhdr`': formats_of_two_files,
    '`.mhd` or `.nhdr`': lists_of_slices,
    'cut short or damaged': damaged_files,
    '2D, 4D': other_dimensions,
    'TIFF, PNG': other_files,
    'one CT series': one_series,
    'slices that differ': slices_that_differ,
    'slices that are missing': uneven_slices,
    'slices off the common line': slices_off_the_line,
    'slices of alternating': alternating_acquisitions,
    'rescale slope, intercept': rescaled_slice_by_slice,
    'rescale slope or intercept': rescaled_in_part,
    'MONOCHROME1': inverted_or_colour,
    'a damaged slice': damaged_slice,
    'RTDOSE': no_slices,
    'several series': several_series,
    'several slices in one file': multi_frame,
    'voxels that are NaN': not_finite,
    'qform and sform': two_forms,
    'pixdim or units': other_pixdim,
    'neither qform nor sform': no_form,
    'sheared sform': sheared,
    'NIfTI-2': other_nifti,
    'HU': plain_hu,
    'HU + 1024': one_offset,
    'the offset': two_offsets,
    'negative HU': wrapped_around,
    '65535': padded,
    'HU without': without_peaks,
    'no HU': no_hu,
    'another file': same_name_size_and_time,
    'the same file': touched,
    'content upside down': swapped,
    '`.csv`': tables_of_points,
    '`;`': semicolons,
    'whole numbers': whole_numbers,
}


def rows():
    """First cells of the rows of all tables of the document."""
    with open(DOCUMENT, encoding='utf-8') as stream:
        lines = stream.read().splitlines() + ['']
    return [line.split('|')[1].strip() for k, line in enumerate(lines) if is_row(lines, k)]


def is_row(lines, k):
    return lines[k].startswith('|') and not lines[k].startswith('|-') and not lines[k + 1].startswith('|-')


@pytest.mark.parametrize('row', rows())
def test_row(row, tmp_path, caplog):
    starts = [start for start in TESTS if row.startswith(start)]
    assert starts, f'no test for {row!r}'
    TESTS[max(starts, key=len)](Kinds(tmp_path, caplog))


def test_every_test_has_its_row():
    used = [max((start for start in TESTS if row.startswith(start)), key=len) for row in rows()]
    assert sorted(used) == sorted(TESTS)
