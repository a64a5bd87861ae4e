"""From what people have (DICOM, NIfTI, MetaImage, NRRD) to isotropic images with lung and torso masks."""
