"""The record that a piece of work is finished: a small JSON file written last.

It lists what the work was made from, the format number of its maker and its outputs with size, modification time and a
checksum of their content. Work is skipped only when all of that holds; that a file exists means nothing.
"""

import contextlib
import hashlib
import json
import os
import stat

import numpy as np
import SimpleITK as sitk

from ..setting.atomic import write_json, write_text
from ..setting.checkpoint_records import describe_file
from ..setting.code_version import own_commit
from ..setting.errors import DiskError, InputError, MissingFileError, RegNetError
from ..setting.kinds import TEXT, having, list_of, optional, whole
from ..setting.result_names import RESULTS
from ..setting.text_files import read_json, read_record
from .file_check import files_of
from .volume_io import array_view, read_image, write_image

IMAGE_EXTENSIONS = ('.mha', '.mhd', '.nii', '.nii.gz', '.nrrd')
_SAMPLE = 2**20
_CONTENT, _EARLIER = ('path', 'bytes', 'file_checksum'), ('path', 'bytes', 'mtime_ns', 'sampled_checksum')
_known_checksums = {}


def listed_files(names=TEXT):
    """The kind of a list of :func:`record_file` dictionaries, or nothing, in a record; ``names`` is that of their
    paths.
    """
    return optional(list_of(having(path=names, bytes=whole(0), mtime_ns=whole(0), file_checksum=TEXT)))


def array_checksum(image_or_array):
    """BLAKE2b (128 bits, hexadecimal) of the voxels of a sitk.Image or an array: type, shape and values, whatever the
    file format.
    """
    array = array_view(image_or_array) if isinstance(image_or_array, sitk.Image) else np.asarray(image_or_array)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<'))
    digest = hashlib.blake2b(f'{array.dtype.kind}{array.dtype.itemsize} {array.shape}'.encode(), digest_size=16)
    digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def voxel_checksum(path, fresh=False):
    """Checksum of the content of a file, which must be whole: its voxels if it is an image, its bytes otherwise.

    Remembered by path, size and modification time within the process; ``fresh`` reads the file in any case.
    """
    key = (os.path.abspath(path),) + file_state(path)
    if fresh or key not in _known_checksums:
        if path.lower().endswith(IMAGE_EXTENSIONS):
            _known_checksums[key] = array_checksum(read_image(path, expect='any', dim=None))
        else:
            _known_checksums[key] = describe_file(path)['checksum']
    return _known_checksums[key]


def sampled_checksum(path):
    """BLAKE2b (128 bits, hexadecimal) of the first, middle and last megabyte of a file."""
    digest, size = hashlib.blake2b(digest_size=16), os.path.getsize(path)
    with open(path, 'rb') as stream:
        for start in sorted({0, max(size - _SAMPLE, 0) // 2, max(size - _SAMPLE, 0)}):
            stream.seek(start)
            digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def fingerprint(source, known=None):
    """What tells whether an input is still the same: of every file that belongs to it path, size, time, a checksum of
    the first, middle and last megabyte, and one of all its bytes; of an image in memory, all voxels and the grid.

    :param source: file, DICOM folder, sitk.Image or None.
    :param known: :func:`recorded_inputs` of earlier work, whose checksums are believed where the rest is as they say.
    """
    if source is None:
        return None
    if isinstance(source, sitk.Image):
        grid = source.GetSpacing() + source.GetOrigin() + source.GetDirection()
        return {'checksum': array_checksum(source), 'grid': list(grid)}
    path = os.path.abspath(os.fspath(source))
    if not os.path.exists(path):
        raise MissingFileError(f'{source} does not exist.')
    names = sorted(os.path.join(path, n) for n in os.listdir(path)) if os.path.isdir(path) else files_of(path)
    return [_fingerprint_of_file(name, (known or {}).get(name)) for name in names if os.path.isfile(name)]


def recorded_inputs(record):
    """Path -> what the record of earlier work says of this input; empty where there is no such record.

    :param record: its path.
    """
    with contextlib.suppress(RegNetError):
        return {one['path']: one for one in _files_in(read_json(record))}
    return {}


def _files_in(value):
    """The files of :func:`fingerprint` anywhere in a record."""
    if isinstance(value, dict) and isinstance(value.get('path'), str) and 'sampled_checksum' in value:
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for item in inside for one in _files_in(item)]


def _fingerprint_of_file(path, known):
    size, mtime = file_state(path)
    found = {'path': path, 'bytes': size, 'mtime_ns': mtime, 'sampled_checksum': sampled_checksum(path)}
    if known and found == {name: known.get(name) for name in found}:
        return known
    key = tuple(found.values())
    if key not in _known_checksums:
        _known_checksums[key] = describe_file(path)['checksum']
    return dict(found, file_checksum=_known_checksums[key])


def with_times_of(recorded, now):
    """A recorded description of inputs, with what ``now`` says of the files whose content is as recorded.

    It equals ``now`` when nothing but times has changed. Earlier records have lists: path, size, time, and of some the
    sampled checksum; they are believed while all of it holds.
    """
    if isinstance(now, dict) and 'file_checksum' in now:
        same = [isinstance(recorded, dict) and recorded.get(name) == now[name] for name in _CONTENT]
        earlier = [now.get(name) for name in _EARLIER]
        return now if all(same) or recorded in (earlier, earlier[:3]) else recorded
    if isinstance(recorded, dict) and isinstance(now, dict):
        return {name: with_times_of(value, now.get(name)) for name, value in recorded.items()}
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        return [with_times_of(*both) for both in zip(recorded, now)]
    return recorded


def file_state(path):
    """(bytes, modification time in ns) of a file; MissingFileError when it does not exist, InputError for a folder or a
    pipe.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise MissingFileError(f'{path} does not exist.') from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f'{path} is not a file.')
    return status.st_size, status.st_mtime_ns


def record_output(path, image_or_array=None, folder=None):
    """What a manifest says about an output that has just been written: dictionary with path, bytes, mtime_ns, checksum.

    :param image_or_array: what was written, so that it need not be read again; None: read the file.
    :param folder: folder of the manifest, to which ``path`` is recorded relative; None: the folder of the file.
    """
    path = os.path.abspath(path)
    size, mtime = file_state(path)
    checksum = voxel_checksum(path) if image_or_array is None else array_checksum(image_or_array)
    relative = os.path.relpath(path, os.path.abspath(folder or os.path.dirname(path)))
    return {'path': relative.replace(os.sep, '/'), 'bytes': size, 'mtime_ns': mtime, 'checksum': checksum}


def record_file(path):
    """What a record beside a finished file says about it: as :func:`record_output`, but a checksum of all its bytes."""
    size, mtime = file_state(path)
    checksum = describe_file(path)['checksum']
    return {'path': os.path.basename(path), 'bytes': size, 'mtime_ns': mtime, 'file_checksum': checksum}


def recorded_image(record, name):
    """File name of an image of a registration, whose format only the record of its results says."""
    listed = [output['path'] for output in record.get('outputs') or []]
    return next((path for path in listed if path.split('.')[0] == name), name + '.mha')


@contextlib.contextmanager
def recorded_change(path):
    """Change ``path`` on purpose in the ``with`` block: the ``results.json`` beside it follows, if it was intact."""
    folder, name = os.path.split(os.path.abspath(path))
    record_path = os.path.join(folder, RESULTS)
    record = read_record(record_path, {'outputs': listed_files()}) if os.path.isfile(record_path) else {}
    listed = [output for output in record.get('outputs', []) if output['path'] == name]
    intact = not check_outputs(folder, listed)[0]
    yield
    if listed and intact:
        listed[0].update(record_file(path))
        write_json(record_path, record)


def write_work(manifest, made_from, format_number, contents, remark=None):
    """Write pairs of (path, image or text), and last the manifest (:func:`write_manifest`) that says so."""
    folder, outputs = os.path.dirname(os.path.abspath(manifest)), []
    for path, content in contents:
        if isinstance(content, str):
            write_text(path, content)
            content = None
        else:
            write_image(content, path)
        outputs.append(record_output(path, content, folder))
    write_manifest(manifest, made_from, format_number, outputs, remark)


def write_manifest(path, made_from, format_number, outputs, remark=None):
    """Publish the manifest of finished work; call it last.

    :param made_from: JSON-able description of inputs and settings; compared when the work is looked at again.
    :param format_number: integer, raised by hand when the maker's output changes; compared.
    :param outputs: list of :func:`record_output` dictionaries (recorded relative to the folder of ``path``).
    :param remark: a sentence for whoever reads the manifest.
    """
    record = {'made_from': made_from, 'format_number': format_number, 'outputs': list(outputs), 'commit': own_commit()}
    if remark:
        record['remark'] = remark
    write_json(path, record)


def check_manifest(path, made_from, format_number, verify=False, expected=()):
    """Whether the work that ``path`` records is done, from the same inputs, with its outputs present and intact.

    Size and modification time of each output are compared first, its checksum when either differs or on ``verify``; of
    inputs see :func:`fingerprint`. Where only times differ (a copied tree) the manifest is updated, so that the next
    check is quick again.

    :param expected: names of files that the manifest must list.
    :return: (done, reason): reason says why not; it is '' when done, and 'no manifest' when there is none.
    """
    try:
        manifest = read_json(path)
        if manifest['format_number'] != format_number:
            return False, f'{path} has format {manifest["format_number"]} of its maker, now {format_number}'
        now, earlier = json.loads(json.dumps(made_from)), manifest['made_from']
        if now != earlier and now != with_times_of(earlier, now):
            return False, f'{path} was made from other inputs or settings'
        manifest['made_from'] = now
        lacking = set(expected) - {os.path.basename(output['path']) for output in manifest['outputs']}
        if lacking:
            return False, f'{path} does not list {", ".join(sorted(lacking))}'
        reason, touched = check_outputs(os.path.dirname(os.path.abspath(path)), manifest['outputs'], verify)
        touched = touched or now != earlier
    except MissingFileError:
        return False, 'no manifest'
    except InputError as error:
        return False, str(error)
    except (KeyError, TypeError) as error:
        return False, f'{path} is not a manifest ({error})'
    if touched and not reason:
        with contextlib.suppress(DiskError):  # a read-only tree is checked by its checksums each time
            write_json(path, manifest)
    return not reason, reason


def require_present(manifests):
    """Raise :class:`MissingFileError` unless these manifests and the outputs they list are there, as they were written:
    what a command promised may have been removed while it ran.
    """
    wrong = []
    for path in manifests:
        try:
            reason = check_outputs(os.path.dirname(os.path.abspath(path)), read_json(path)['outputs'])[0]
        except (InputError, MissingFileError, KeyError, TypeError) as error:
            reason = str(error)
        wrong += [reason] if reason else []
    if wrong:
        count = f'{len(wrong)} of {len(manifests)} finished pieces of work were removed or changed meanwhile'
        raise MissingFileError(f'{count}; the first: {wrong[0].rstrip(".")}. The same command makes them again.')


def check_outputs(folder, outputs, verify=False):
    """Compare files with what their record says: size and time first, the checksum when these differ or on ``verify``.

    :param folder: that of the record.
    :param outputs: list of :func:`record_output` or :func:`record_file` dictionaries; times that differ are updated.
    :return: (the first thing that is wrong, '' if nothing is; whether ``outputs`` was updated).
    """
    touched = False
    for output in outputs:
        reason, changed = _check_output(folder, output, verify)
        if reason:
            return reason, touched
        touched = touched or changed
    return '', touched


def _check_output(folder, output, verify):
    """(reason why not, whether size or time was updated in ``output``)."""
    path = os.path.normpath(os.path.join(folder, output['path']))
    try:
        found = file_state(path)
        same = found == (output['bytes'], output['mtime_ns'])
        if same and not verify:
            return '', False
        if 'file_checksum' in output:
            intact = describe_file(path)['checksum'] == output['file_checksum']
        else:
            intact = voxel_checksum(path, fresh=True) == output['checksum']
        if not intact:
            return f'{path} is not what was written', False
    except RegNetError as error:
        return str(error), False
    except OSError as error:
        return f'{path} cannot be read: {error.strerror}', False
    output['bytes'], output['mtime_ns'] = found
    return '', not same
