"""From what people have (DICOM, NIfTI, MetaImage, NRRD, DIR-Lab, SPREAD) to isotropic images and masks."""
