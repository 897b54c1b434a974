"""The YAML config: every option once, reading and checking it, and suggesting one for a table."""
