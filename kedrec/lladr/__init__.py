"""LLaDR (arXiv 2510.12181): knowledge-graph embeddings anchored in text."""
