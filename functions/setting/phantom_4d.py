"""The data set ``Phantom_4D``, which :mod:`functions.phantom` makes."""

from .data_set_record import PHASES, DataSet, image_addresses, landmark_addresses


def _addresses():
    root = '{data_root}Phantom/'
    patterns = image_addresses(root)
    patterns.update(landmark_addresses(root + 'points/{p}/', '{p}_{K}_{type}_{kind}', exact=True))
    patterns['TrueDVF'] = root + 'dvf/{p_fixed}/DVF_{type_fixed}_{type_moving}{ext}'
    patterns['PhantomManifest'] = root + 'mha/{p}/manifest.json'
    return patterns


RECORDS = [DataSet('Phantom_4D', PHASES, 'case', list(range(1, 201)), _addresses(), expected_tre_pair=(0, 5))]
