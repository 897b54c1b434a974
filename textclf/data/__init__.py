"""Tables of texts and labels: readers, rows, split."""
