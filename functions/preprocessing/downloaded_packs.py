"""Where the files of public data sets are in the archives people download.

Each layout is a function that finds the files of one case, with an entry in :data:`LAYOUTS`. Names are matched in any
case of letters, since published archives and their copies differ in it, and also one level deeper, where an archive was
unpacked into a folder of its own name.
"""

import collections
import os

from ..setting.errors import InputError, MissingFileError, join_numbers, unknown_name

#: An image or list of points of a case: type_im, path (None if it is missing) and the path expected. For points also
#: the name of their set, whose lists correspond, and another type with the same points; both types name their files.
File = collections.namedtuple('File', 'type_im path expected set_name other')
#: The files of a case; extra maps the request of an address to a further :class:`File`.
Pack = collections.namedtuple('Pack', 'cn folder images points extra')


def _child(folder, name):
    """Path of the entry ``name`` of a folder, exact or else in any case of letters; None if there is none."""
    if os.path.exists(os.path.join(folder, name)):
        return os.path.join(folder, name)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return next((os.path.join(folder, entry) for entry in names if entry.lower() == name.lower()), None)


def find_below(folder, relative):
    """Path of ``relative`` (with ``/``) below a folder in any case of letters, or None."""
    for name in relative.split('/'):
        folder = folder and _child(folder, name)
    return folder


def pack_folder(source, name):
    """The folder of a pack in ``source``, which may be the pack itself; None if it is not there."""
    source = os.path.abspath(source)
    here = source if os.path.basename(source).lower() == name.lower() else _child(source, name)
    if here is None or not os.path.isdir(here):
        return None
    return _child(here, name) or here


def _file(folder, type_im, *alternatives, set_name=None, other=None):
    """The first of the alternatives that exists."""
    path = next(filter(None, (find_below(folder, relative) for relative in alternatives)), None)
    return File(type_im, path, os.path.join(folder, *alternatives[0].split('/')), set_name, other)


def dirlab_4dct(source, record, cn, setting):
    """4DCT: ten phases; 75 points in T00 to T50, 300 in T00 and T50. The names of cases 1 to 5 differ from those of the
    later ones; either is accepted.
    """
    folder = pack_folder(source, f'Case{cn}{"Deploy" if cn == 8 else "Pack"}')
    if folder is None:
        return None
    images, points = [], []
    for k, phase in enumerate(record.types):
        names = [f'Images/case{cn}_{phase}{ending}.img' for ending in ('_s', '')]
        images.append(_file(folder, k, *(names if cn <= 5 else names[::-1])))
    for k, phase in enumerate(record.types[:6]):
        name = f'Sampled4D/case{cn}_4D-75_{phase}.txt'
        points.append(_file(folder, k, name, set_name='4D-75', other=1 if k != 1 else 2))
    for k in (0, 5):
        names = [f'ExtremePhases/case{cn}_{number}_{record.types[k]}_xyz.txt' for number in ('300', 'dirLab300')]
        points.append(_file(folder, k, *(names if cn <= 5 else names[::-1]), set_name='300', other=5 - k))
    return Pack(cn, folder, images, points, {})


def dirlab_copdgene(source, record, cn, setting):
    """COPDgene: inhale and exhale breath hold, 300 points each."""
    folder = pack_folder(source, f'copd{cn}')
    if folder is None:
        return None
    images, points = [], []
    for k, type_ in enumerate(record.types):
        images.append(_file(folder, k, f'copd{cn}_{type_}.img'))
        points.append(_file(folder, k, f'copd{cn}_300_{type_[:3]}_xyz_r1.txt', set_name='300', other=1 - k))
    return Pack(cn, folder, images, points, {})


def spread(source, record, cn, setting):
    """SPREAD: a folder per patient, and one folder with all points; two observers agreed on those of the follow-up."""
    patients = setting.get('SPREAD_Patients') or record.patients
    if len(set(patients)) < len(patients):
        where = "list them, case 1 first, in setting['SPREAD_Patients']"
        found = f'it has {len(patients)}, {len(set(patients))} of them different'
        raise InputError(f"SPREAD's patient codes are not public: {where}; {found}.")
    patient = patients[cn - 1] if cn <= len(patients) else None
    folder = pack_folder(source, patient) if patient else None
    if folder is None:
        return None
    images = [_file(folder, k, name + '.mhd', name + '.mha') for k, name in enumerate(('baseline_1', 'followup_1'))]
    source = os.path.dirname(folder) if find_below(source, 'SPREADgroundTruth') is None else source
    consensus = f'SPREADgroundTruth/Consensus/{patient[:4]}_b1f1_'
    names = f'SPREADgroundTruth/{patient}_baseline_1_Cropped_point.txt', consensus + 'point.txt'
    points = [_file(source, k, name, set_name='all', other=1 - k) for k, name in enumerate(names)]
    return Pack(cn, folder, images, points, {'UnsurePoints': _file(source, 0, consensus + 'unsure.txt')})


#: layout of a record -> function (source folder, record, case, setting) -> :class:`Pack`, or None if the case is not
#: there.
LAYOUTS = {'dirlab_4dct': dirlab_4dct, 'dirlab_copdgene': dirlab_copdgene, 'spread': spread}


def find_packs(source, record, cases, setting):
    """The packs of a data set in a folder, all files present: list of :class:`Pack`.

    :param source: folder that contains the packs, or one pack.
    :param cases: case numbers; None: those of the record that are there.
    :raises MissingFileError: no such folder, no pack in it, or missing files, all named.
    :raises InputError: a case that the data set does not have, or a data set that is not downloaded.
    """
    if record.layout is None:
        layouts = ', '.join(sorted(LAYOUTS))
        accepted = f'those with the layouts {layouts}'
        raise InputError(f'{record.key} is not a data set to be downloaded; accepted: {accepted}.')
    if record.layout not in LAYOUTS:
        raise unknown_name(f'layout of data set {record.key}', record.layout, sorted(LAYOUTS))
    if not os.path.isdir(source):
        raise MissingFileError(f'{source} does not exist; the unpacked archives of {record.key} are needed there.')
    wanted = record.CNList if cases is None else list(cases)
    wrong = [cn for cn in wanted if cn not in record.CNList]
    if wrong:
        known = f'{min(record.CNList)} to {max(record.CNList)}'
        raise InputError(f'{record.key} has no case {join_numbers(wrong)}; accepted: {known}.')
    packs = {cn: LAYOUTS[record.layout](source, record, cn, setting) for cn in wanted}
    absent = [cn for cn in wanted if packs[cn] is None]
    if len(absent) == len(wanted) or (absent and cases is not None):
        raise MissingFileError(f'{source} contains no pack of {record.key} for case {join_numbers(absent)}.')
    packs = [packs[cn] for cn in wanted if packs[cn] is not None]
    files = [(pack.cn, file) for pack in packs for file in [*pack.images, *pack.points, *pack.extra.values()]]
    missing = [f'case {cn}: {file.expected}' for cn, file in files if file.path is None]
    if missing:
        named = '; '.join(missing[:10]) + (f' and {len(missing) - 10} more' if len(missing) > 10 else '')
        count = f'{len(missing)} of the files of {record.key}'
        raise MissingFileError(f'{count} are missing: {named}. Unpack the archives again.')
    return packs
