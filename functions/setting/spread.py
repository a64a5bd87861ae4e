"""The data set SPREAD."""

from .data_set_record import DataSet


def _addresses():
    result = '{root}Elastix/LungExp/{p}/Result/'
    truth = '{data_root}lung_dataset/SPREAD/SPREADgroundTruth/'
    baseline = truth + '{patient}_baseline_1_Cropped_point'
    follow_up = truth + 'Consensus/{patient4}_b1f1_point'
    patient = '{data_root}lung_dataset/SPREAD/{patient}/'
    return {
        'OriginalFolder': result,
        'OriginalIm': result + '{type}ImageFullRS1{S}{P}{ext}',
        'OriginalLung': result + '{type}MaskFullRS1{S}{P}{ext}',
        'OriginalTorso': result + '{type}TorsoFullRS1{S}{P}{ext}',
        'DilatedLandmarksIm': result + 'DilatedLandmarksFullRS1{S}{P}{ext}',
        'OriginalImNonIsotropic': (patient + 'baseline_1.mhd', patient + 'followup_1.mhd'),
        'OriginalLandmarkFolder': truth,
        'LandmarkPoint_tr': (baseline + '_trunc.txt', follow_up + '_trunc.txt'),
        'LandmarkPoint_elx': (baseline + '.txt', follow_up + '.txt'),
        'UnsurePoints': truth + 'Consensus/{patient4}_b1f1_unsure.txt',
    }


# fmt: off
RECORDS = [
    DataSet(
        'SPREAD', ['Fixed', 'Moving'], 'ExpLung', list(range(1, 21)), _addresses(), expected_tre_pair=(0, 1),
        UnsureLandmarkAvailable=True, patients=('NA',) * 21, layout='spread',
    ),
]
# fmt: on
