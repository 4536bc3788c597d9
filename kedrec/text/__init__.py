"""Passages, the bi-encoder, the index and the retriever."""
