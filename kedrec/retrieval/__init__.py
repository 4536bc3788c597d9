"""Retrieval: the bi-encoder, chunking, the vector index and the retriever."""
