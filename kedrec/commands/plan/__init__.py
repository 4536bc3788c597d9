"""What training would take, computed before anything is loaded: ``python -m kedrec.fit EXPERIMENT --plan``."""
