"""What training would take, told before anything is loaded: ``python -m kedrec.fit EXPERIMENT --plan``."""
