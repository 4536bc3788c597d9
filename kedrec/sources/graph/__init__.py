"""Readers of graph files: DRKG, names of entities, open vocabularies, molecular structures."""
