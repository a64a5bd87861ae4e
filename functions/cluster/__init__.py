"""Work handed to a scheduler that is there already: SLURM or Sun Grid Engine."""
