"""Texts to token ids: tokenizer, vocabulary, encoding, word vectors."""
