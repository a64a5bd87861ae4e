"""Isotropic images and masks from DICOM, NIfTI, MetaImage, NRRD, DIR-Lab and SPREAD."""
