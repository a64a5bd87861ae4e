"""The folder of a registration's results: written whole, never over other files, read back to be applied.

=========================  ================================================================================
File                       What it is
=========================  ================================================================================
displacement.mha           total displacement field u, mm, fixed to moving, on the grid of the results
transform.h5               the same as an ITK composite transform: first the nonrigid field, then the affine
TransformParameters.*.txt  the same for elastix's transformix; results.json names the one to give to it
displacement_nonrigid.mha  the nonrigid field alone, which both refer to; only with an affine
affine.tfm                 the affine transform, fixed to moving; only with an affine
moved.mha                  the moving image on the grid of the results, int16 HU
jacobian.mha               determinant of the Jacobian of the physical mapping p + u(p)
fixed_lung.nii.gz          the lung mask used, of the fixed image, on the grid of the results
inverse_consistency.mha    length of the residual of there and back by the fields of the networks in mm, on the grid
                           of the results; with ``both_ways``
expected_error.mha         how far the displacement is expected to be off, mm, on the grid of the results, as the set's
                           network of errors predicts it
inverse.mha                displacement field of the way back, on the grid of the moving image; on request
results.json               settings, networks, versions, timings, measures, grids; size, time and checksum
                           of every other file; written last
=========================  ================================================================================

All of it is written into a hidden folder inside the folder of the results, which may be a mount point or a link, and
moved to its place when it is whole. A process that is killed while it moves leaves the rest to :func:`finish_move`.

Images may be .nii.gz or .nrrd instead; the record lists the names. In each format a displacement field says that it is
one of vectors to the left, posterior and superior, as ITK, elastix, ANTs and 3D Slicer take it: NRRD by
``kinds: vector`` and ``space``, NIfTI by intent code 1007.
"""

import collections
import contextlib
import os
import platform
import time
import weakref
from concurrent import futures

from ..elastix.programs import elastix_version
from ..elastix.transform_files import write_total_transform as write_elastix_transform
from ..image import transforms
from ..image.claim import FOLDER_LOCK, claim_folder
from ..image.geometry import Geometry
from ..image.manifest import (
    check_outputs,
    fingerprint,
    listed_files,
    record_file,
    recorded_image,
    recorded_inputs,
    with_times_of,
)
from ..image.threads import in_threads
from ..image.volume_io import read_image, write_image
from ..preprocessing.chest_masks import lung_mask
from ..preprocessing.hounsfield import LOWEST, load_ct
from ..preprocessing.isotropic import to_isotropic
from ..setting.atomic import is_temporary, remove, temporary_path, write_json, write_text
from ..setting.code_version import package_versions
from ..setting.errors import DiskError, InputError, MissingFileError, RegNetError
from ..setting.kinds import ANYTHING, MAPPING, TEXT, choice, having, list_of, mapping_of, number, optional, whole
from ..setting.operating_system import replace
from ..setting.result_names import DISPLACEMENT, MOVED, RESULTS
from ..setting.text_files import read_record, read_text, sealed, unsealed
from .command_line import EXPORTS, FORMATS

FORMAT_NUMBER = 1
NONRIGID, LUNG = 'displacement_nonrigid', 'fixed_lung'
JACOBIAN, INVERSE, CONSISTENCY, ERROR = 'jacobian', 'inverse', 'inverse_consistency', 'expected_error'
_IMAGES = (DISPLACEMENT, NONRIGID, MOVED, JACOBIAN, INVERSE, CONSISTENCY, ERROR, LUNG)
#: What marks a folder among the results as one of :mod:`functions.registration.exports`.
EXPORT_RECORD = 'export.json'
_WHOLE = '.whole'  # finished results on their way to their places
#: What may lie in an empty folder: our own files, and what a new disk holds.
_IGNORED = (FOLDER_LOCK, _WHOLE, 'lost+found')
_ELASTIX = ('TransformParameters.0.txt', 'TransformParameters.1.txt')
#: All files that the folder may hold, the record first: without it the rest does not count.
NAMES = (RESULTS, 'transform.h5', 'affine.tfm') + _ELASTIX
NAMES += tuple(f'{image}.{ending}' for image in _IMAGES for ending in FORMATS)

_GRID = {'size': list_of(whole(1), 3), 'spacing': list_of(number(above=0), 3)}
_GRID.update(origin=list_of(number(), 3), direction=list_of(number(), 9))
#: What the record holds at least; the optional entries are not in older ones.
SHAPE = {
    'format': choice(FORMAT_NUMBER),
    'settings': {'fixed': TEXT, 'moving': TEXT, 'series': optional(list_of(ANYTHING, 2))},
    'measures': optional(having(left_out=optional(list_of(TEXT)))),
    'grids': {'results': _GRID, 'fixed': _GRID, 'moving': _GRID},
    'transformix': optional(TEXT),
    'seconds': optional(mapping_of(number(0))),
    'versions': optional(MAPPING),
    'outputs': listed_files(choice(*NAMES)),
}

Results = collections.namedtuple('Results', 'folder record fixed moving')
"""``record``: content of results.json; ``fixed``, ``moving``: :class:`Geometry` of the results and the moving image."""


class Draft(contextlib.AbstractContextManager):
    """Results on their way to ``folder``: a context manager; what is not finished in it is removed.

    They are moved to their places in the end, so the folder holds all of them or none. The fields can be written before
    the rest is known, see :meth:`write_fields`.

    :param file_format: one of :data:`FORMATS`, of all images; the lung mask is .nii.gz beside .mha.
    :param overwrite: replace existing results; other files in the folder stay.
    :param require_ours: called before anything is replaced; see :func:`functions.image.claim.claim_folder`.
    :raises InputError: the folder is not empty and may not be overwritten.
    """

    def __init__(self, folder, file_format='mha', overwrite=False, require_ours=lambda: None):
        self.folder, self._names_of = os.path.abspath(folder), {image: f'{image}.{file_format}' for image in _IMAGES}
        if file_format == 'mha':
            self._names_of[LUNG] = LUNG + '.nii.gz'
        names = os.listdir(folder) if os.path.isdir(folder) else []
        names = [name for name in names if name not in _IGNORED and not is_temporary(name)]
        if names and not overwrite:
            raise InputError(f'{folder} is not empty, so nothing is written: give another folder, or --overwrite.')
        for name in set(names) & set(NAMES):
            if os.path.isdir(os.path.join(folder, name)):
                raise InputError(f'{os.path.join(folder, name)} is a folder; a file of that name is to be written.')
        self._draft, self._names, self._fields_written, self._require_ours = None, [], False, require_ours
        self._finished = self._record = None

    def write_fields(self, affine, nonrigid, dvf):
        """Write what follows from the fields alone.

        :param affine: sitk.AffineTransform, or None.
        :raises DiskError: it cannot be written.
        """
        jobs = [(write_image, dvf, self._names_of[DISPLACEMENT])]
        jobs.append((transforms.write_total_transform, affine, nonrigid, 'transform.h5'))
        if affine is not None:
            jobs.append((write_image, nonrigid, self._names_of[NONRIGID]))
            jobs.append((transforms.write_affine, affine, 'affine.tfm'))
        self._write(jobs)
        self._fields_written = True

    def finish(self, registration, inverse=False, made_from=None):
        """Write what is missing and move everything to its place; what is finished later replaces it.

        :param registration: :class:`functions.registration.single_pair.Registration`; of the one that was finished
            last only the record is written again.
        :param inverse: also write the inverse field.
        :param made_from: JSON-able description of the inputs, for :func:`check_results`.
        :return: the record that results.json holds.
        :raises DiskError: it cannot be written.
        """
        start, affine = time.time(), registration.linear
        if self._finished is not None and self._finished() is registration:
            self._require_ours()
            seconds = dict(registration.seconds, writing=self._record['seconds']['writing'])
            self._record.update(measures=registration.measures, seconds=seconds, made_from=made_from)
            write_json(os.path.join(self.folder, RESULTS), self._record)
            return self._record
        if not self._fields_written:
            self.write_fields(affine, registration.nonrigid, registration.dvf)
        images = {MOVED: registration.moved, JACOBIAN: registration.jacobian}
        if registration.lungs:
            images[LUNG] = registration.lung
        maps = {CONSISTENCY: registration.inverse_consistency, ERROR: registration.expected_error}
        images.update({name: image for name, image in maps.items() if image is not None})
        residual = {}
        if inverse:
            images[INVERSE], residual['inverse_residual_mm'] = registration.inverse()
        self._write([(write_image, image, self._names_of[name]) for name, image in images.items()])
        basis = self._path(self._names_of[DISPLACEMENT if affine is None else NONRIGID])
        path = write_elastix_transform(self._draft, basis, registration.dvf, affine, float(LOWEST))
        for name in _ELASTIX:
            _rename_in(self._path(name), self._draft, self.folder)
        record = _record(registration, os.path.basename(path))
        record['measures'].update(residual)
        record['seconds']['writing'] = round(time.time() - start, 3)
        record['made_from'] = made_from
        self._require_ours()
        self._names += [name for name in _ELASTIX if os.path.exists(self._path(name))]
        record['outputs'] = in_threads(record_file, [self._path(name) for name in self._names])
        write_json(self._path(RESULTS), record)
        replace(self._draft, os.path.join(self.folder, _WHOLE))
        finish_move(self.folder)
        self._draft, self._names, self._fields_written = None, [], False
        self._finished, self._record = weakref.ref(registration), record  # not kept in memory
        return record

    def _write(self, jobs):
        """Run (function, arguments ..., file name), two at a time: most of the time is spent waiting for the disk."""
        self._names += [job[-1] for job in jobs]
        jobs = [job[:-1] + (self._path(job[-1]),) for job in jobs]
        with futures.ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(*job) for job in jobs]:
                done.result()

    def _path(self, name):
        if self._draft is None:
            draft = temporary_path(os.path.join(self.folder, 'results'))
            try:
                os.makedirs(draft)
            except OSError as error:
                raise DiskError(f'Cannot write to {self.folder}: {error.strerror}. Choose another folder.') from error
            self._draft = draft
        return os.path.join(self._draft, name)

    def __exit__(self, *exception):
        if self._draft is not None:
            remove(self._draft)


def read_results(folder):
    """The results in a folder, for applying them.

    :raises MissingFileError: no folder, or it holds no finished results.
    """
    path = os.path.join(folder, RESULTS)
    if os.path.isdir(os.path.join(folder, _WHOLE)):
        with claim_folder(folder):
            finish_move(folder)
    if not os.path.isfile(path):
        raise MissingFileError(f'{folder} holds no finished registration ({RESULTS} is missing); register first.')
    record = read_record(path, SHAPE)
    return Results(folder, record, *[Geometry.of_record(record['grids'][name]) for name in ('results', 'moving')])


def read_chests(folder):
    """The images of a registration and lung masks made from them: [fixed, moving], each (image in HU, lung mask).

    The fixed one is on the grid of the results, the moving one on its own.

    :raises MissingFileError: no finished registration, or its images are no longer where they were.
    """
    results, found = read_results(folder), []
    series = results.record['settings'].get('series', (None, None))
    for role, grid, one in zip(('fixed', 'moving'), (results.fixed, results.moving), series):
        path = results.record['settings'][role]
        if not os.path.exists(path):
            raise MissingFileError(
                f'{os.path.join(folder, RESULTS)} names the image {path}, which does not exist; run this command in '
                'the folder the registration was run in.'
            )
        image = native = load_ct(path, one)
        if not Geometry.of(image).matches(grid):
            image = to_isotropic(image)
        found.append((image, lung_mask(image, native)))
    return found


def read_result(results, name=DISPLACEMENT):
    """An image of the results, by default the total displacement field.

    :param name: DISPLACEMENT, INVERSE or MOVED.
    :raises MissingFileError, InputError: it is not there, not what was written, or not on the grid the record says.
    """
    file_name = recorded_image(results.record, name)
    path = os.path.join(results.folder, file_name)
    if name == INVERSE and not os.path.isfile(path):
        raise MissingFileError(f'{path} is not there: register with --inverse.')
    outputs = [output for output in results.record.get('outputs', []) if output['path'] == file_name]
    problem = check_outputs(results.folder, outputs, verify=True)[0]
    if problem:
        raise InputError(f'{problem}, so it is not applied; register again.')
    image = read_image(path, 'scalar' if name == MOVED else 'vector')
    if not Geometry.of(image).matches(results.moving if name == INVERSE else results.fixed):
        raise InputError(f'{path} is not on the grid that {RESULTS} names; register again.')
    return image


def check_results(folder, made_from, verify=False):
    """Whether ``folder`` holds whole results made from the same.

    :param verify: compare all checksums, not only where sizes or times differ.
    :return: (done, reason): reason is '' unless the results are made from the same but are no longer whole.
    """
    try:
        record = read_results(folder).record
    except RegNetError:
        return False, ''
    earlier = record.get('made_from')
    if made_from != earlier and made_from != with_times_of(earlier, made_from):
        return False, ''
    record['made_from'] = made_from
    reason, touched = check_outputs(folder, record.get('outputs', []), verify)
    if (touched or made_from != earlier) and not reason:
        with contextlib.suppress(DiskError):
            write_json(os.path.join(folder, RESULTS), record)
    return not reason, reason


def problem_of(folder):
    """What is wrong with the results in ``folder``, by sizes and times; '' if nothing is."""
    try:
        return check_outputs(folder, read_results(folder).record.get('outputs', []))[0]
    except RegNetError as error:
        return str(error)


def inputs_of(folder, fixed, moving, masks=(), **settings):
    """JSON-able description of what a registration into ``folder`` is made from: fingerprints of files, and
    settings.
    """
    known = recorded_inputs(os.path.join(folder, RESULTS))
    fixed, moving, *masks = [fingerprint(source, known) for source in (fixed, moving, *masks)]
    return {'fixed': fixed, 'moving': moving, 'masks': masks, 'settings': settings}


def _record(registration, transformix):
    """What results.json says, apart from the time of writing."""
    affine = registration.affine
    images = {'results': registration.dvf, 'fixed': registration.fixed, 'moving': registration.moving}
    versions = dict(package_versions(), python=platform.python_version())
    if affine.method == 'elastix':
        versions['elastix'] = elastix_version()
    return {
        'format': FORMAT_NUMBER,
        'settings': registration.settings,
        'measures': registration.measures,
        'lungs': registration.lungs,
        'seconds': dict(registration.seconds),
        'versions': versions,
        'transformix': transformix,
        'affine': {'method': affine.method, 'correlation_before': affine.before, 'correlation_after': affine.after},
        'grids': {name: Geometry.of(image)._asdict() for name, image in images.items()},
    }


def _rename_in(path, draft, folder):
    """Let an elastix file name its neighbours by their final paths."""
    if os.path.exists(path):
        text = unsealed(path, read_text(path))
        write_text(path, sealed(text.replace(draft + os.sep, folder + os.sep), '//'))


def finish_move(folder):
    """Move finished results to their places, if there are any; what a killed process began is taken up.

    :raises DiskError: a file cannot be replaced; the results wait in the hidden folder.
    """
    whole = os.path.join(folder, _WHOLE)
    # Not through a link, and no other files: the folder may come from elsewhere.
    is_ours = os.path.isdir(whole) and not os.path.islink(whole)
    names = [name for name in NAMES if os.path.isfile(os.path.join(whole, name))] if is_ours else []
    if RESULTS in names:
        written = [output['path'] for output in read_record(os.path.join(whole, RESULTS), SHAPE)['outputs']]
        try:
            # The old record goes first, for without it the rest does not count; the new one comes last.
            for name in NAMES:
                if name not in written:
                    remove(os.path.join(folder, name))
            for name in EXPORTS:  # of the results before
                if os.path.isfile(os.path.join(folder, name, EXPORT_RECORD)):
                    remove(os.path.join(folder, name))
            for name in sorted(names, key=lambda name: name == RESULTS):
                replace(os.path.join(whole, name), os.path.join(folder, name))
        except OSError as error:
            raise DiskError(f'Cannot replace {os.path.join(folder, name)}: {error.strerror}.') from error
    remove(whole)
