"""Training: loss, optimiser, loop, checkpoints, logs."""
