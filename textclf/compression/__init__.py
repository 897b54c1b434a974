"""Smaller models: weights in fewer bits, pruning and distillation."""
