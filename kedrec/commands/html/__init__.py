"""Self-contained HTML pages: templates, and figures as inline SVG."""
