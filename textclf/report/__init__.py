"""Numbers in, one HTML page out."""
