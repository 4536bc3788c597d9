"""What `kedrec.recommend` is made of: a ranking, explanations, objections, and their display."""
