"""Hashes that name keys and files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Key = Mapping[str, Any]


def key_hash(key: Key) -> str:
    """Return 20 hex digits that name ``key``; the order of its entries does not matter."""
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:20]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
