"""Training: the loop, its optimiser, checkpoints, and the record of a run."""
