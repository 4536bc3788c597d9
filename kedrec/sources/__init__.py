"""Readers of outside material: local files today, the network where a source needs it; nothing else in kedrec reads it."""
