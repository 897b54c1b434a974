"""Embedding -> Bidirectional LSTM -> Dense."""
