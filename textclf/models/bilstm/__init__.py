"""Embedding -> bidirectional LSTM -> pooling -> Dense."""
