"""Training: the dataset, checks of the data, the loop, checkpoints, and the verb train."""
