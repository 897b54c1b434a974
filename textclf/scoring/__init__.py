"""Scoring: labels for many files, in shards that can be resumed and shared among processes and machines."""
