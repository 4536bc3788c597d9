"""Hashes that name keys and files."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Key = Mapping[str, Any]

_RECENT = 50_000_000  # nanoseconds: in a file this young another write may leave its time and size as they are

_known: dict[tuple[str, int, int, int, int], str] = {}


def key_hash(key: Key) -> str:
    """Return 20 hex digits that name ``key``; the order of its entries does not matter."""
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:20]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex; a file that has not changed is read once a process."""
    state = path.stat()
    version = (str(path.absolute()), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    found = _known.get(version)
    if found is None:
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
        if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > _RECENT:
            _known[version] = found
    return found
