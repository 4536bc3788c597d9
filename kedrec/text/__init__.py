"""Text without models: passages, sentences, citations, mentions."""
