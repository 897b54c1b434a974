"""The YAML config: its options, reading and checking it, and suggesting one for a table."""
