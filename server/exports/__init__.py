"""Passages as files to take away: tables, maps, evidence packages; each accounted for."""
