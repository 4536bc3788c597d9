"""A student in the formats that servers load: written, read back, compared with the run, and described."""
