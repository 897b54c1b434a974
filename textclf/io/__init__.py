"""Files and folders: reading, safe writing, the run folder, and the types of the JSON files."""
