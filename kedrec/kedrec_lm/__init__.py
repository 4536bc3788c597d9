"""KEDRec-LM (arXiv 2502.20350): a student LLM learns to choose a drug and to explain the choice."""
