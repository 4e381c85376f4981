"""The road network: taken in from a file, off line, and the checkpoints on it."""
