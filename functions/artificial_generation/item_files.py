"""The files of an item and of its next image, and the manifests that say when they are finished."""

import errno
import logging
import os

import SimpleITK as sitk

from functions.artificial_generation.bspline_transform import coefficient_image, itk_transform
from functions.artificial_generation.dvf_histograms import write_dvf_histograms
from functions.artificial_generation.masked_image import MaskedImage
from functions.image.manifest import check_manifest, record_output, write_manifest
from functions.image.masks import read_mask
from functions.image.volume_io import image_from_array, read_image, write_image
from functions.setting.atomic import publish, read_json, sweep_stale_temporaries
from functions.setting.errors import RegNetError

_log = logging.getLogger(__name__)

#: Raised by hand when the voxels that artificial generation makes change (and the golden items of the tests
#: with them).
FORMAT_NUMBER = 1


def _deformed_image(spec):
    """Address of the deformed image: as :func:`address_generator` says, without augmentations where none are named."""
    return spec.address('DeformedIm', deformed_im_ext=spec.sequence if spec.im_info.get('deformed_im_ext') else None)


def manifest_path(spec):
    """Manifest of an item: one per augmentation sequence, stage and padding, in the item's folder."""
    names = ''.join(f'_{name}' for name in spec.sequence) if spec.im_info.get('deformed_im_ext') else ''
    return _beside(_deformed_image(spec), f'manifest{names}_pad{spec.dvf_pad}', 'DeformedImage' + names)


def next_manifest_path(spec):
    """Manifest of the next image of an item."""
    return _beside(spec.address('NextIm'), 'manifest', 'NextIm')


def _beside(path, stem, replaced):
    """The JSON file named like ``path``, ``stem`` in place of ``replaced``, with its stage and padding."""
    folder, name = os.path.split(path)
    return os.path.join(folder, name.replace(replaced, stem, 1).partition('.')[0] + '.json')


def item_paths(spec):
    """Files of a finished item: request -> path."""
    paths = {'DeformedIm': _deformed_image(spec), 'DeformedDVF': spec.address('DeformedDVF')}
    requests = ['DeformedLung'] * spec.use_lung + ['DeformedTorso'] * spec.use_torso
    requests += ['Jac'] * ('Sponge' in spec.sequence)
    requests += ['DeformedLungOccluded'] * ('Occluded' in spec.sequence)
    requests += ['ImCanny'] * (spec.method == 'mixed_frequency')
    paths.update({request: spec.address(request) for request in requests})
    if spec.options['WriteIntermediateIntensityAugmentation']:
        for count in range(1, len(spec.sequence)):
            names = spec.sequence[:count]
            paths['DeformedIm_' + '_'.join(names)] = spec.address('DeformedIm', deformed_im_ext=names)
    if spec.setting.get('WriteBSplineTransform') and spec.method == 'single_frequency':
        paths['BSplineTransformIm'] = spec.address('BSplineTransformIm')
    return paths


def next_paths(spec):
    """Files of a finished next image: request -> path."""
    requests = ['NextIm'] + ['NextLung'] * spec.use_lung + ['NextTorso'] * spec.use_torso
    if spec.setting.get('verbose_image') or spec.options['verbose_image']:
        requests.append('NextDVF')
    if spec.setting.get('WriteBSplineTransform'):
        requests.append('NextBSplineTransformIm')
    return {request: spec.address(request) for request in requests}


def check(path, made_from, paths, verify=False):
    """Is the work of a manifest done and does it list all ``paths``? (done, reason) as ``check_manifest``."""
    done, reason = check_manifest(path, made_from, FORMAT_NUMBER, verify)
    if done:
        listed = {os.path.basename(output['path']) for output in read_json(path)['outputs']}
        lacking = sorted({os.path.basename(p) for p in paths.values()} - listed)
        if lacking:
            return False, '{} does not list {}'.format(path, ', '.join(lacking))
    return done, reason


def check_item(spec, verify=False):
    """(done, reason) of an item, its next image included."""
    if spec.dsmooth > 0:
        done, reason = check(next_manifest_path(spec), spec.made_from(False), next_paths(spec), verify)
        if not done:
            return False, reason
    return check(manifest_path(spec), spec.made_from(), item_paths(spec), verify)


def read_next(spec, verify=False):
    """Next image and masks from files, or None when they are not finished."""
    paths = next_paths(spec)
    done, reason = check(next_manifest_path(spec), spec.made_from(False), paths, verify)
    if done:
        try:
            im = read_image(paths['NextIm'])
            masks = [
                read_mask(paths[request], like=im, required=False) if request in paths else None
                for request in ('NextLung', 'NextTorso')
            ]
            return MaskedImage(im, *masks)
        except RegNetError as error:
            reason = str(error)
    _warn(spec, reason)
    return None


def read_deformed(spec):
    """Deformed volumes and DVF (ITK vector image) from files, or None when the item is not finished."""
    paths = item_paths(spec)
    done, reason = check(manifest_path(spec), spec.made_from(), paths)
    if done:
        try:
            im = read_image(paths['DeformedIm'])
            masks = [
                read_mask(paths[request], like=im, required=False) if request in paths else None
                for request in ('DeformedLung', 'DeformedTorso')
            ]
            return MaskedImage(im, *masks), read_image(paths['DeformedDVF'], expect='vector')
        except RegNetError as error:
            reason = str(error)
    _warn(spec, reason)
    return None


def _warn(spec, reason):
    if reason != 'no manifest':
        _log.warning('Making %s again: %s', spec.name, reason)


def write_next(spec, volumes, dvf, coefficients):
    """Write a next image, its manifest last."""
    images = {'NextIm': volumes.im, 'NextLung': volumes.lung, 'NextTorso': volumes.torso, 'NextDVF': dvf}
    paths = next_paths(spec)
    if 'NextBSplineTransformIm' in paths:
        images['NextBSplineTransformIm'] = coefficient_image(coefficients, volumes.im)
        _write_transform(spec.address('NextBSplineTransform'), coefficients, volumes.im)
    _publish(next_manifest_path(spec), spec.made_from(False), paths, images)


def write_item(spec, made):
    """Write an item, its manifest last.

    :param made: :class:`functions.artificial_generation.deformed_image.Made`.
    """
    grid, paths = made.deformed.im, item_paths(spec)
    images = {
        'DeformedIm': grid,
        'DeformedDVF': made.dvf,
        'DeformedLung': made.deformed.lung,
        'DeformedTorso': made.deformed.torso,
    }
    for request, product in (('Jac', 'jacobian'), ('DeformedLungOccluded', 'occluded'), ('ImCanny', 'edges')):
        if product in made.products:
            array = made.products[product]
            images[request] = image_from_array(array, made.dvf if request == 'ImCanny' else grid)
    for names, array in made.intermediate:
        images['DeformedIm_' + '_'.join(names)] = image_from_array(array, grid)
    if 'BSplineTransformIm' in paths:
        coefficients = made.products['coefficients']
        images['BSplineTransformIm'] = coefficient_image(coefficients, made.dvf)
        _write_transform(spec.address('BSplineTransform'), coefficients, made.dvf)
    if spec.setting.get('WriteDVFStatistics'):
        write_dvf_histograms(spec, made, images)
    _publish(manifest_path(spec), spec.made_from(), paths, images)


def sweep(spec):
    """Remove temporaries of dead processes from the folders of an item."""
    sweep_stale_temporaries(os.path.dirname(manifest_path(spec)))
    if spec.dsmooth > 0:
        sweep_stale_temporaries(os.path.dirname(next_manifest_path(spec)))


def _publish(manifest, made_from, paths, images):
    folder = os.path.dirname(manifest)
    sweep_stale_temporaries(folder)
    outputs = []
    for request, path in sorted(paths.items()):
        write_image(images[request], path)
        outputs.append(record_output(path, images[request], folder))
    write_manifest(manifest, made_from, FORMAT_NUMBER, outputs)


def _write_transform(path, coefficients, grid):
    # Its name carries no stage, so that stages overwrite each other: kept out of the manifest.
    transform = itk_transform(coefficients, grid)
    with publish(path) as temporary:
        sitk.WriteTransform(transform, temporary)
        # ITK says nothing when the disk is full; the fixed parameters are what it writes last.
        with open(temporary, encoding='ascii') as stream:
            last = stream.readlines()[-1:]
        if not (last and last[0].startswith('FixedParameters') and last[0].endswith('\n')):
            raise OSError(errno.ENOSPC, 'only a part of it could be written, the disk is full')
