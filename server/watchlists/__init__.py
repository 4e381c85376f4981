"""Plates that are looked for (布控), and the matching of passages against them."""
