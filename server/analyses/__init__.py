"""Analyses (研判): questions over many passages, each answered with its reasons."""
