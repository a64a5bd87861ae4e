"""Where the files of public data sets lie in the folders people download.

Each layout is a function that finds the files of one case; a new one is one function and one line of
:data:`LAYOUTS`. Names are found whatever their upper and lower case, since packs on the web and their copies
differ in it, and one level deeper, where an archive was unpacked into a folder of its own name.
"""

import collections
import os

from functions.setting.errors import InputError, MissingFileError, unknown_name

#: One image or list of points of a case: type_im, path (None where it is missing), expected (path as it
#: should be); of points also the name of their set, whose lists correspond, and the type of another image
#: that has them: a pair of both types names their files.
File = collections.namedtuple('File', 'type_im path expected set_name other')
#: What a case consists of; extra are further files (request of the address -> :class:`File`).
Pack = collections.namedtuple('Pack', 'cn folder images points extra')


def _child(folder, name):
    """The entry ``name`` of a folder, exact or else in any case of letters; None when it is not there."""
    if os.path.exists(os.path.join(folder, name)):
        return os.path.join(folder, name)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = sorted(entry for entry in names if entry.lower() == name.lower())
    return os.path.join(folder, found[0]) if found else None


def find_below(folder, relative):
    """Path of ``relative`` (with ``/``) below a folder in any case of letters, or None."""
    for name in relative.split('/'):
        folder = _child(folder, name)
        if folder is None:
            return None
    return folder


def pack_folder(source, name):
    """The folder of a pack in ``source``, which may be the pack itself; None when it is not there."""
    source = os.path.abspath(source)
    here = source if os.path.basename(source).lower() == name.lower() else _child(source, name)
    if here is None or not os.path.isdir(here):
        return None
    return _child(here, name) or here


def _file(folder, type_im, *alternatives, **more):
    """The first of the alternatives that is there."""
    found = [path for path in (find_below(folder, relative) for relative in alternatives) if path]
    return File(
        type_im,
        found[0] if found else None,
        os.path.join(folder, *alternatives[0].split('/')),
        more.get('set_name'),
        more.get('other'),
    )


def dirlab_4dct(source, record, cn, setting):
    """4DCT: ten phases; 75 points in T00 to T50, 300 in T00 and T50. Cases 1 to 5 and the later ones differ
    in their names (either is taken), case 8 in that of its folder."""
    folder = pack_folder(source, 'Case{}{}'.format(cn, 'Deploy' if cn == 8 else 'Pack'))
    if folder is None:
        return None
    image = ['Images/case{}_{}_s.img', 'Images/case{}_{}.img']
    extreme = ['ExtremePhases/case{}_300_{}_xyz.txt', 'ExtremePhases/case{}_dirLab300_{}_xyz.txt']
    if cn > 5:
        image, extreme = image[::-1], extreme[::-1]

    def names(patterns, phase):
        return [pattern.format(cn, phase) for pattern in patterns]

    images = [_file(folder, k, *names(image, phase)) for k, phase in enumerate(record.types)]
    points = [
        _file(folder, k, f'Sampled4D/case{cn}_4D-75_{record.types[k]}.txt', set_name='4D-75', other=1 if k != 1 else 2)
        for k in range(6)
    ]
    points += [_file(folder, k, *names(extreme, record.types[k]), set_name='300', other=5 - k) for k in (0, 5)]
    return Pack(cn, folder, images, points, {})


def dirlab_copdgene(source, record, cn, setting):
    """COPDgene: inhale and exhale breath hold, 300 points each."""
    folder = pack_folder(source, f'copd{cn}')
    if folder is None:
        return None
    name = 'copd{}_{}'.format(cn, '{}')
    images = [_file(folder, k, name.format(type_) + '.img') for k, type_ in enumerate(record.types)]
    points = [
        _file(folder, k, name.format(f'300_{type_[:3]}_xyz_r1.txt'), set_name='300', other=1 - k)
        for k, type_ in enumerate(record.types)
    ]
    return Pack(cn, folder, images, points, {})


def spread(source, record, cn, setting):
    """SPREAD: a folder for each patient, all points in one folder, those of the follow-up agreed upon by two
    observers."""
    patients = setting.get('SPREAD_Patients') or record.patients
    if len(set(patients)) < len(patients):
        raise InputError(
            "SPREAD's patient codes are not public: list them, case 1 first, in "
            f"setting['SPREAD_Patients']; it has {len(patients)}, {len(set(patients))} of them different."
        )
    patient = patients[cn - 1] if cn <= len(patients) else None
    folder = pack_folder(source, patient) if patient else None
    if folder is None:
        return None
    images = [_file(folder, k, name + '.mhd', name + '.mha') for k, name in enumerate(('baseline_1', 'followup_1'))]
    source = os.path.dirname(folder) if find_below(source, 'SPREADgroundTruth') is None else source
    consensus = f'SPREADgroundTruth/Consensus/{patient[:4]}_b1f1_'
    points = [
        _file(source, k, name, set_name='all', other=1 - k)
        for k, name in enumerate((f'SPREADgroundTruth/{patient}_baseline_1_Cropped_point.txt', consensus + 'point.txt'))
    ]
    return Pack(cn, folder, images, points, {'UnsurePoints': _file(source, 0, consensus + 'unsure.txt')})


#: layout of a record -> function (source folder, record, case, setting) -> :class:`Pack`, None when the case
#: is not there.
LAYOUTS = {'dirlab_4dct': dirlab_4dct, 'dirlab_copdgene': dirlab_copdgene, 'spread': spread}


def find_packs(source, record, cases, setting):
    """The packs of a data set in a folder, all files present.

    :param source: folder that holds the packs, or one pack.
    :param cases: case numbers; None: those of the record that are there.
    :return: list of :class:`Pack`.
    :raises MissingFileError: no such folder, no pack in it, or files of a pack that are missing, all named.
    :raises InputError: a case that the data set does not have, or a data set that is not downloaded.
    """
    if record.layout is None:
        raise InputError(
            '{} is not a data set to be downloaded and converted; those are {}.'.format(
                record.key, 'of the layouts ' + ', '.join(sorted(LAYOUTS))
            )
        )
    if record.layout not in LAYOUTS:
        raise unknown_name(f'layout of data set {record.key}', record.layout, sorted(LAYOUTS))
    if not os.path.isdir(source):
        raise MissingFileError(
            f'The folder {source} does not exist; the unpacked archives of {record.key} are needed there.'
        )
    wanted = record.CNList if cases is None else list(cases)
    wrong = [cn for cn in wanted if cn not in record.CNList]
    if wrong:
        raise InputError(
            '{} has no case {}; it has {} to {}.'.format(
                record.key, ', '.join(str(cn) for cn in wrong), min(record.CNList), max(record.CNList)
            )
        )
    packs = {cn: LAYOUTS[record.layout](source, record, cn, setting) for cn in wanted}
    absent = [cn for cn in wanted if packs[cn] is None]
    if len(absent) == len(wanted) or (absent and cases is not None):
        raise MissingFileError(
            '{} holds no pack of {} for case {}.'.format(source, record.key, ', '.join(str(cn) for cn in absent))
        )
    packs = [packs[cn] for cn in wanted if packs[cn] is not None]
    missing = [
        f'case {pack.cn}: {file.expected}'
        for pack in packs
        for file in pack.images + pack.points + list(pack.extra.values())
        if file.path is None
    ]
    if missing:
        more = f' and {len(missing) - 10} more' if len(missing) > 10 else ''
        raise MissingFileError(
            '{} of the files of {} are missing: {}{}. Unpack the archives again.'.format(
                len(missing), record.key, '; '.join(missing[:10]), more
            )
        )
    return packs
