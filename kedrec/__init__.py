"""kedrec: explainable drug recommendation, from a knowledge graph and texts to a student that chooses and explains."""

__version__ = "0.1.0"
