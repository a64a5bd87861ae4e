"""Results as DICOM: the moved image as a CT series, the displacement field as a Deformable Spatial Registration.

DICOM's deformable registration says where in the Source RCS to sample for a point of the Registered RCS, the frame of
reference of the object itself (PS3.3, C.20.3.1.1): ``source = registered + vector``, in mm, to the left, posterior and
superior. With the fixed scan's frame as the registered one and the moving scan's as the source, the vectors are those
of the displacement field, unchanged, and no matrix comes before or after them.

Of the fixed scan's headers only what identifies patient and study, its frame of reference and position is read.
"""

import os
import time
import uuid

import numpy as np

from .. import __version__
from ..image.dvf import led_indices
from ..image.geometry import Geometry
from ..image.volume_io import array_view
from ..preprocessing.dicom import series_files
from ..setting.atomic import disk_errors
from ..setting.code_version import own_commit
from ..setting.errors import InputError
from ..setting.result_names import MOVED
from .result_folder import read_result

try:
    import pydicom
except ImportError:  # optional: extra [dicom]
    pydicom = None

_CT = '1.2.840.10008.5.1.4.1.1.2'
_REGISTRATION = '1.2.840.10008.5.1.4.1.1.66.3'
_LITTLE_ENDIAN = '1.2.840.10008.1.2.1'  # explicit VR
#: Carried over: what patient and study need.
_PATIENT = ('PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex')
_STUDY = ('StudyDate', 'StudyTime', 'StudyID', 'AccessionNumber')
_READ = ('SpecificCharacterSet', 'StudyInstanceUID', 'SeriesInstanceUID', 'FrameOfReferenceUID', 'SOPInstanceUID')
_READ += ('SOPClassUID', 'PositionReferenceIndicator', 'PatientPosition') + _PATIENT + _STUDY


def require_dicom(fixed):
    """Raise :class:`InputError` unless results with this fixed scan can be written as DICOM."""
    if pydicom is None:
        raise InputError('--export dicom needs pydicom, which is not installed: pip install pydicom.')
    if not os.path.isdir(fixed):
        raise InputError(
            f'--export dicom: the fixed scan {fixed} is no DICOM series, from which patient and study come.'
        )


def write_dicom(results, folder):
    """Write ``moved/0001.dcm`` ..., one file a slice of the fixed scan, and ``registration.dcm`` into ``folder``.

    :param results: :class:`functions.registration.result_folder.Results` on the grid of the fixed image.
    :return: list of the paths written.
    :raises InputError: no pydicom, the fixed scan is no DICOM series, the scans are of different patients.
    """
    settings = results.record['settings']
    require_dicom(settings['fixed'])
    series = settings.get('series') or (None, None)
    fixed = _headers(settings['fixed'], series[0])
    moving = _headers(settings['moving'], series[1]) if os.path.isdir(settings['moving']) else []
    if moving and fixed[0].get('PatientID') != moving[0].get('PatientID'):
        raise InputError(
            f'--export dicom: {settings["fixed"]} and {settings["moving"]} have different PatientIDs; no series is '
            'made that would show one patient under the name of another.'
        )
    # The same results have the same UIDs, whenever they are written.
    seed = [output['file_checksum'] for output in results.record['outputs']]
    writer = _Writer(fixed[0], ' '.join([str(fixed[0].get('SeriesInstanceUID', ''))] + seed), folder)
    field = read_result(results)
    paths = _write_series(writer, read_result(results, MOVED), field, results.moving, moving)
    return paths + [_write_registration(writer, field, moving)]


def _headers(folder, series):
    return [
        pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_READ))
        for path in series_files(folder, series)
    ]


class _Writer:
    """What the objects of one export have in common.

    :param source: header of the fixed scan.
    :param seed: text that all UIDs follow from.
    """

    def __init__(self, source, seed, folder):
        self.source, self.seed, self.folder = source, seed, folder
        self.date, self.time = time.strftime('%Y%m%d'), time.strftime('%H%M%S')
        self.frame = source.get('FrameOfReferenceUID') or self.uid('frame of reference')

    def uid(self, name):
        """The UID of a part of this export, of the kind that needs no registered root (PS3.5, B.2)."""
        return f'2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f"{self.seed} {name}").int}'

    def dataset(self, sop_class, modality, number, description):
        """A dataset of a new series in the patient and study of the fixed scan."""
        made = pydicom.Dataset()
        if self.source.get('SpecificCharacterSet'):
            made.SpecificCharacterSet = self.source.SpecificCharacterSet
        for name in _PATIENT + _STUDY:
            setattr(made, name, self.source.get(name, ''))
        made.StudyInstanceUID = self.source.get('StudyInstanceUID') or self.uid('study')
        made.ReferringPhysicianName = ''
        made.SOPClassUID, made.Modality, made.SeriesNumber = sop_class, modality, number
        made.SeriesInstanceUID, made.SeriesDescription = self.uid(f'series {modality}'), description
        made.BodyPartExamined = 'CHEST'
        made.SeriesDate = made.ContentDate = self.date
        made.SeriesTime = made.ContentTime = self.time
        made.FrameOfReferenceUID = self.frame
        made.PositionReferenceIndicator = self.source.get('PositionReferenceIndicator', '')
        made.Manufacturer, made.ManufacturerModelName = 'RegNet', 'RegNet3D'
        made.DeviceSerialNumber, made.SoftwareVersions = '1', _software()
        return made

    def save(self, made, name):
        """Write a dataset whose instance is called by its file; returns the path."""
        path = os.path.join(self.folder, name)
        made.SOPInstanceUID = self.uid(name)
        meta = pydicom.dataset.FileMetaDataset()
        meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b'\0\1'
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
        meta.TransferSyntaxUID, meta.ImplementationClassUID = _LITTLE_ENDIAN, pydicom.uid.PYDICOM_IMPLEMENTATION_UID
        options = {'file_meta': meta, 'preamble': b'\0' * 128, 'is_implicit_VR': False, 'is_little_endian': True}
        with disk_errors(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            pydicom.dataset.FileDataset(path, made, **options).save_as(path)
        return path


def _software():
    """The version of this program, and its commit where that is known."""
    return __version__ if own_commit() is None else [__version__, own_commit()]


def _items(*contents):
    """A sequence of datasets, each from a dictionary."""
    items = []
    for content in contents:
        items.append(pydicom.Dataset())
        for name, value in content.items():
            setattr(items[-1], name, value)
    return pydicom.Sequence(items)


def _code(value, meaning):
    return _items({'CodeValue': value, 'CodingSchemeDesignator': 'DCM', 'CodeMeaning': meaning})


def _references(headers, **more):
    """A sequence that names instances."""
    references = [(header.SOPClassUID, header.SOPInstanceUID) for header in headers]
    return _items(
        *[{'ReferencedSOPClassUID': kind, 'ReferencedSOPInstanceUID': uid, **more} for kind, uid in references]
    )


def _orientation(geometry):
    """Value of ImageOrientationPatient: the directions of x and y."""
    return _decimals(np.array(geometry.direction).reshape(3, 3)[:, :2].T.ravel())


def _decimals(values):
    return [pydicom.valuerep.DSfloat(float(value), auto_format=True) for value in values]


def _write_series(writer, moved, field, source_grid, sources):
    grid = Geometry.of(moved)
    made = writer.dataset(_CT, 'CT', 1001, 'Moving scan, registered to the fixed one')
    made.ImageType = ['DERIVED', 'SECONDARY', 'AXIAL']
    made.DerivationDescription = 'Deformed by the registration in the Deformable Spatial Registration of this study'
    made.DerivationCodeSequence = _code('125027', 'Deformed for Registration')
    made.PatientPosition = writer.source.get('PatientPosition', '')
    made.KVP = made.AcquisitionNumber = None
    made.SliceThickness, *made.PixelSpacing = _decimals((grid.spacing[2], grid.spacing[1], grid.spacing[0]))
    made.ImageOrientationPatient = _orientation(grid)
    made.Columns, made.Rows = grid.size[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, 'MONOCHROME2'
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = 0, 1, 'HU'
    purpose = _code('121322', 'Source image for image processing operation')
    references = _references(sources, PurposeOfReferenceCodeSequence=purpose)
    paths = []
    for z, (plane, (_, led)) in enumerate(zip(array_view(moved), led_indices(field, source_grid))):
        made.InstanceNumber = z + 1
        made.ImagePositionPatient = _decimals(grid.index_to_world([0, 0, z]))
        made.PixelData = plane.astype('<i2').tobytes()
        # One more on either side, as the interpolator has it.
        first, last = int(np.floor(led[..., 2].min())) - 1, int(np.ceil(led[..., 2].max())) + 1
        made.SourceImageSequence = pydicom.Sequence(references[max(first, 0) : max(last + 1, 0)])
        if not made.SourceImageSequence:
            del made.SourceImageSequence
        paths.append(writer.save(made, os.path.join('moved', f'{z + 1:04d}.dcm')))
    return paths


def _write_registration(writer, field, sources):
    grid = Geometry.of(field)
    made = writer.dataset(_REGISTRATION, 'REG', 1002, 'Displacements from the fixed to the moving scan')
    made.InstanceNumber, made.ContentLabel, made.ContentDescription = 1, 'REGISTRATION', 'Displacement field of RegNet'
    made.ContentCreatorName = ''
    content = {
        'ImagePositionPatient': _decimals(grid.origin),
        'ImageOrientationPatient': _orientation(grid),
        'GridDimensions': list(grid.size),
        'GridResolution': list(grid.spacing),
        'VectorGridData': array_view(field).astype('<f4').tobytes(),
    }
    item = {
        'SourceFrameOfReferenceUID': writer.uid('frame of reference of the moving scan'),
        'RegistrationTypeCodeSequence': _code('125024', 'Image Content-based Alignment'),
        'DeformableRegistrationGridSequence': _items(content),
    }
    if sources:
        # They may share the frame of reference with the fixed scan, and are then told apart by their instances.
        item['SourceFrameOfReferenceUID'] = sources[0].get('FrameOfReferenceUID') or item['SourceFrameOfReferenceUID']
        item['ReferencedImageSequence'] = _references(sources)
        series = _items(
            {'SeriesInstanceUID': sources[0].SeriesInstanceUID, 'ReferencedInstanceSequence': _references(sources)}
        )
        if sources[0].get('StudyInstanceUID', made.StudyInstanceUID) == made.StudyInstanceUID:
            made.ReferencedSeriesSequence = series
        else:
            study = {'StudyInstanceUID': sources[0].StudyInstanceUID, 'ReferencedSeriesSequence': series}
            made.StudiesContainingOtherReferencedInstancesSequence = _items(study)
    made.DeformableRegistrationSequence = _items(item)
    return writer.save(made, 'registration.dcm')
