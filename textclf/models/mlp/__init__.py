"""Bag of words and of word pairs -> Dense layers."""
