"""Files, the run folder, staging, and text that is safe to look at."""
