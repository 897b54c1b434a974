"""TF-IDF of words and n-grams -> one weight vector a label; the n-grams are found in a perfect hash table."""
