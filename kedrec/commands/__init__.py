"""What the commands are made of, one folder each."""
