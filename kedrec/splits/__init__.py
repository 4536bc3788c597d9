"""Which treatments are for training, validation and test, what follows from that, and the leakage filter."""
