"""What `kedrec.recommend` is made of: a ranking, an explanation, what speaks against, and how it is shown."""
