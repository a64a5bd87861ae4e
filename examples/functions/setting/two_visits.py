"""Example of a data set: two scans each of thirty patients, in NIfTI, with landmarks.

The addresses are those of every data set below ``Data/TwoVisits/``; ``dict`` replaces one of them. The fields in braces
are explained in ``address_fields``.
"""

from .data_set_record import DataSet, image_addresses, landmark_addresses

_ROOT = '{data_root}TwoVisits/'
_ADDRESSES = dict(image_addresses(_ROOT), **landmark_addresses(_ROOT + 'landmarks/', '{p}_{type}_{kind}', exact=True))
_ADDRESSES['OriginalImRaw'] = _ROOT + 'nifti/{p}_{type}{ext}'

RECORDS = [DataSet('TwoVisits', ['first', 'second'], 'patient', list(range(1, 31)), _ADDRESSES, ext='.nii')]
