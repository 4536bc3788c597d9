"""Self-contained HTML pages: a base template, macros for what pages are made of, and figures as inline SVG."""
