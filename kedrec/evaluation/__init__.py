"""Metrics as pure functions of predictions, and the models that judge citations."""
