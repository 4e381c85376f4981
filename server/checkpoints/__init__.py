"""The registry of checkpoints and cameras, and how their agents are doing."""
