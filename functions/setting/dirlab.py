"""The data sets of DIR-Lab: 4DCT and COPDgene."""

from .data_set_record import PHASES, DataSet, image_addresses, landmark_addresses


def _by_case(*values):
    return dict(enumerate(values, start=1))


def _grids(*rows):
    """Grids by case from (voxels along x and y, slices, mm along x and y); slices are 2.5 mm apart."""
    return _by_case(*[((side, side, slices), (mm, mm, 2.5)) for side, slices, mm in rows])


_4DCT, _COPD = '{data_root}DIR-Lab/4DCT/', '{data_root}DIR-Lab/COPDgene/'
_4DCT_LANDMARKS = landmark_addresses(_4DCT + 'points/{p}/', 'case{cn}_{K}_{type}_{kind}')
_COPD_LANDMARKS = landmark_addresses(_COPD + 'points/{p}/', 'copd{cn}_300_{type3}_{kind}_r1', index=False)

# fmt: off
RECORDS = [
    DataSet(
        'DIR-Lab_4D', PHASES, 'case', list(range(1, 11)), dict(image_addresses(_4DCT), **_4DCT_LANDMARKS),
        expected_tre=_by_case(3.89, 4.34, 6.94, 9.83, 7.48, 10.89, 11.03, 14.99, 7.92, 7.30), expected_tre_pair=(0, 5),
        layout='dirlab_4dct', raw_grids=_grids(
            (256, 94, 0.97), (256, 112, 1.16), (256, 104, 1.15), (256, 99, 1.13), (256, 106, 1.10),
            (512, 128, 0.97), (512, 136, 0.97), (512, 128, 0.97), (512, 128, 0.97), (512, 120, 0.97),
        ),
    ),
    DataSet(
        'DIR-Lab_COPD', ['iBHCT', 'eBHCT'], 'copd', list(range(1, 11)), dict(image_addresses(_COPD), **_COPD_LANDMARKS),
        expected_tre=_by_case(26.33, 21.79, 12.64, 29.58, 30.08, 28.46, 21.60, 26.46, 14.86, 21.81),
        expected_tre_pair=(0, 1), layout='dirlab_copdgene', raw_grids=_grids(
            (512, 121, 0.625), (512, 102, 0.645), (512, 126, 0.652), (512, 126, 0.590), (512, 131, 0.647),
            (512, 119, 0.633), (512, 112, 0.625), (512, 115, 0.586), (512, 116, 0.644), (512, 135, 0.742),
        ),
    ),
]
# fmt: on
