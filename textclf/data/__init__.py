"""Tables of texts and labels: reading them, and splitting them into training and validation rows."""
