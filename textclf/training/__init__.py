"""Dataset, checks of the data, training loop, checkpoint, and the verb train."""
