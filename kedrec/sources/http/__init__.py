"""The HTTP client of the sources: polite requests and downloads that resume."""
