"""The architectures, each in a folder of its own."""
