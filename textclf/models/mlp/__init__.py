"""Bags of words and of n-grams -> Dense."""
