"""Results once more in the layout of other programs, each in a folder of its own among them, whole or not at all."""

import os

from ..image.claim import FOLDER_LOCK, claim_folder, release_void
from ..image.manifest import check_manifest, record_output, write_manifest
from ..setting.atomic import publish_folder, remove
from ..setting.errors import InputError
from .dicom_export import require_dicom, write_dicom
from .learn2reg_export import write_learn2reg
from .result_folder import EXPORT_RECORD, read_results

FORMAT_NUMBER = 1
_WRITERS = {'learn2reg': write_learn2reg, 'dicom': write_dicom}


def require_exportable(kinds, fixed, grid):
    """Raise :class:`InputError` unless results with this fixed scan, on this grid, can be written in these layouts."""
    if kinds and grid != 'native':
        raise InputError(f'--export {kinds[0]} needs results on the grid of the fixed image; leave out --isotropic.')
    if 'dicom' in kinds:
        require_dicom(fixed)


def write_exports(folder, kinds):
    """Write the results in ``folder`` in other layouts, unless that is done.

    :param kinds: names of layouts, 'learn2reg' or 'dicom': also those of the folders.
    :raises InputError: results without checksums, or a folder of that name that holds something else.
    :raises DiskError: another process works in ``folder``, or it cannot be written.
    """
    results = read_results(folder)
    made_from = {output['path']: output['file_checksum'] for output in results.record.get('outputs') or ()}
    if not made_from:
        raise InputError(f'{folder} was written by an early version, which is not exported; register again.')
    for kind in kinds:
        target = os.path.join(folder, kind)
        record = os.path.join(target, EXPORT_RECORD)
        if check_manifest(record, made_from, FORMAT_NUMBER)[0]:
            release_void(os.path.join(folder, FOLDER_LOCK))
            continue
        if os.path.lexists(target) and not os.path.isfile(record):
            raise InputError(f'{target} is there already, but not as an export of results; move it away.')
        with claim_folder(folder), publish_folder(target) as draft:
            outputs = [record_output(path, folder=draft) for path in _WRITERS[kind](results, draft)]
            write_manifest(os.path.join(draft, EXPORT_RECORD), made_from, FORMAT_NUMBER, outputs)
            remove(target)
