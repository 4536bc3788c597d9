"""The knowledge graph: ids and triples as arrays, lookup, synonyms, paths, similarity, trained embeddings."""
