"""The central server: passages in; alerts, search and trajectories out."""
