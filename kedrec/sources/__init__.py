"""Readers of outside material: files, and the network where a source needs it."""
