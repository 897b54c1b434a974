"""Smaller runs: weights in fewer bits, pruning, distillation."""
