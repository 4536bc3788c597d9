"""Readers of outside material: graphs, texts, HTTP, and model weights."""
