"""A student in the forms that servers load: written, read back, compared with the run, and described."""
