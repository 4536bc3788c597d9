"""What is train, validation and test, and the leakage filters that keep it so."""
