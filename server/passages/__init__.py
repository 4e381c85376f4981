"""Passages as they are looked up: search and single view."""
