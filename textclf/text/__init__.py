"""From texts to token ids: tokenizer, vocabulary, encoding and word vectors."""
