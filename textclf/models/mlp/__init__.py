"""The architecture mlp: bags of words and of word pairs, then dense layers."""
