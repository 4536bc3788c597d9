"""Lightning data modules: one a file, each yields typed batches."""
