"""Lightning modules: one a file."""
