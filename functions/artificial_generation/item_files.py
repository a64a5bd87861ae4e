"""The files of an item and of its next image, and the manifests that say when they are finished."""

import errno
import logging
import os

import SimpleITK as sitk

from ..image.manifest import check_manifest, write_work
from ..image.masks import read_mask
from ..image.volume_io import image_from_array, read_image
from ..setting.atomic import publish, sweep_stale_temporaries
from ..setting.errors import RegNetError
from .bspline_field import coefficient_image, itk_transform
from .dvf_histograms import write_dvf_histograms
from .masked_image import MaskedImage

LOGGER = logging.getLogger(__name__)

#: Raised by hand when the voxels of generated images change (and the golden items of the tests with them).
FORMAT_NUMBER = 1


def _deformed_image(spec):
    """Address of the deformed image, whose name lists the augmentations only when ``im_info`` names them."""
    return spec.address('DeformedIm', deformed_im_ext=spec.sequence if spec.im_info.get('deformed_im_ext') else None)


def manifest_path(spec):
    """Manifest of an item: one per augmentation sequence, stage and padding, in the item's folder."""
    names = ''.join(f'_{name}' for name in spec.sequence) if spec.im_info.get('deformed_im_ext') else ''
    return _beside(_deformed_image(spec), 'DeformedImage' + names, f'manifest{names}_pad{spec.dvf_pad}')


def _next_manifest_path(spec):
    return _beside(spec.address('NextIm'), 'NextIm', 'manifest')


def _beside(path, replaced, stem):
    """The JSON file named like ``path``, ``stem`` in place of ``replaced``, with its stage and padding."""
    folder, name = os.path.split(path)
    return os.path.join(folder, name.replace(replaced, stem, 1).partition('.')[0] + '.json')


def item_paths(spec):
    """Files of a finished item: request -> path."""
    paths = {'DeformedIm': _deformed_image(spec)}
    requests = ['DeformedDVF'] + ['DeformedLung'] * spec.use_lung + ['DeformedTorso'] * spec.use_torso
    requests += ['Jac'] * ('Sponge' in spec.sequence) + ['DeformedLungOccluded'] * ('Occluded' in spec.sequence)
    requests += ['ImCanny'] * (spec.method == 'mixed_frequency')
    if spec.setting.get('WriteBSplineTransform') and spec.method == 'single_frequency':
        requests.append('BSplineTransformIm')
    paths.update({request: spec.address(request) for request in requests})
    if spec.options['WriteIntermediateIntensityAugmentation']:
        for count in range(1, len(spec.sequence)):
            names = spec.sequence[:count]
            paths['DeformedIm_' + '_'.join(names)] = spec.address('DeformedIm', deformed_im_ext=names)
    return paths


def _next_paths(spec):
    """Files of a finished next image: request -> path."""
    requests = ['NextIm'] + ['NextLung'] * spec.use_lung + ['NextTorso'] * spec.use_torso
    if spec.setting.get('verbose_image') or spec.options['verbose_image']:
        requests.append('NextDVF')
    if spec.setting.get('WriteBSplineTransform'):
        requests.append('NextBSplineTransformIm')
    return {request: spec.address(request) for request in requests}


def _check(path, made_from, paths, verify):
    """(done, reason): whether the work of a manifest is done, with all ``paths`` listed in it."""
    return check_manifest(path, made_from, FORMAT_NUMBER, verify, map(os.path.basename, paths.values()))


def check_next(spec, verify=False):
    """(done, reason) of the next image of an item."""
    return _check(_next_manifest_path(spec), spec.made_from(False), _next_paths(spec), verify)


def check_deformed(spec, verify=False):
    """(done, reason) of an item without its next image."""
    return _check(manifest_path(spec), spec.made_from(), item_paths(spec), verify)


def check_item(spec, verify=False):
    """(done, reason) of an item and of its next image; ``verify`` compares the checksums of all files."""
    done, reason = check_next(spec, verify) if spec.has_next else (True, '')
    return check_deformed(spec, verify) if done else (False, reason)


def read_next(spec, verify=False):
    """Next image and masks from files, or None when they are not finished."""
    return _read(spec, check_next(spec, verify), _next_paths(spec), ('NextIm', 'NextLung', 'NextTorso'))


def read_deformed(spec):
    """Deformed image and masks, and DVF (ITK vector image), from files; None when the item is not finished."""
    paths = item_paths(spec)
    return _read(spec, check_deformed(spec), paths, ('DeformedIm', 'DeformedLung', 'DeformedTorso'), 'DeformedDVF')


def _read(spec, check, paths, requests, dvf_request=None):
    done, reason = check
    if done:
        try:
            im = read_image(paths[requests[0]])
            masks = [read_mask(paths[k], like=im, required=False) if k in paths else None for k in requests[1:]]
            volumes = MaskedImage(im, *masks)
            return volumes if dvf_request is None else (volumes, read_image(paths[dvf_request], expect='vector'))
        except RegNetError as error:
            reason = str(error)
    if reason != 'no manifest':
        LOGGER.warning('Making %s again: %s', spec.name, reason)
    return None


def write_next(spec, volumes, dvf, products):
    """Write a next image, its manifest last."""
    images = {'NextIm': volumes.im, 'NextLung': volumes.lung, 'NextTorso': volumes.torso, 'NextDVF': dvf}
    paths = _next_paths(spec)
    if 'NextBSplineTransformIm' in paths:
        images['NextBSplineTransformIm'] = coefficient_image(products['coefficients'], volumes.im)
        _write_transform(spec.address('NextBSplineTransform'), products['coefficients'], volumes.im)
    _publish(_next_manifest_path(spec), spec.made_from(False), paths, images, products)


def write_item(spec, made):
    """Write an item (:class:`functions.artificial_generation.deformed_image.Made`), its manifest last."""
    (grid, lung, torso), paths, products = made.deformed, item_paths(spec), made.products
    images = {'DeformedIm': grid, 'DeformedDVF': made.dvf, 'DeformedLung': lung, 'DeformedTorso': torso}
    for request, product in (('Jac', 'jacobian'), ('DeformedLungOccluded', 'occluded'), ('ImCanny', 'edges')):
        if product in products:
            images[request] = image_from_array(products[product], made.dvf if request == 'ImCanny' else grid)
    for names, array in made.intermediate:
        images['DeformedIm_' + '_'.join(names)] = image_from_array(array, grid)
    if 'BSplineTransformIm' in paths:
        images['BSplineTransformIm'] = coefficient_image(products['coefficients'], made.dvf)
        _write_transform(spec.address('BSplineTransform'), products['coefficients'], made.dvf)
    if spec.setting.get('WriteDVFStatistics'):
        write_dvf_histograms(spec, made, images)
    _publish(manifest_path(spec), spec.made_from(), paths, images, products)


def _publish(manifest, made_from, paths, images, products):
    if 'remark' in products:
        LOGGER.info('%s: %s', manifest, products['remark'])
    contents = [(path, images[name]) for name, path in sorted(paths.items())]
    write_work(manifest, made_from, FORMAT_NUMBER, contents, products.get('remark'))


def sweep_item(spec):
    """Remove temporaries of dead processes from the folders of an item."""
    sweep_stale_temporaries(os.path.dirname(manifest_path(spec)))
    if spec.has_next:
        sweep_stale_temporaries(os.path.dirname(_next_manifest_path(spec)))


def _write_transform(path, coefficients, grid):
    # Not in the manifest: its name has no stage, so stages overwrite each other's.
    with publish(path) as temporary:
        sitk.WriteTransform(itk_transform(coefficients, grid), temporary)
        # ITK does not report a full disk; the fixed parameters are what it writes last.
        with open(temporary, encoding='ascii') as stream:
            last = ([''] + stream.readlines())[-1]
        if not (last.startswith('FixedParameters') and last.endswith('\n')):
            raise OSError(errno.ENOSPC, 'only a part of it could be written, the disk is full')
