"""Files that survive: the artifact store, atomic writes, bundles, append-only logs, JSONL, compressed text."""
