"""Settings: the dictionary a script sets, data sets, deformation experiments, file addresses, image lists, checks."""
