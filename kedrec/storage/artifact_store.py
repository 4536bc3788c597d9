"""The artifact store: prepared data, built once, named by the hash of their inputs and verified before use.

An artefact is a folder ``<root>/<kind>/<hash>/`` with a ``manifest.json`` of its key, sizes and SHA-256 sums. It is
built in a ``.partial`` folder beside it, under a file lock, and then renamed: a folder with that name is complete.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.storage.atomic_files import disk_faults_named, write_atomic
from kedrec.storage.atomic_folder import publish_folder
from kedrec.storage.hashing import Key, file_hash, key_hash

log = logging.getLogger(__name__)


_MANIFEST = "manifest.json"


def default_root() -> Path:
    """Return ``$KEDREC_STORE``, or ``kedrec`` in the user's cache folder."""
    if root := os.environ.get("KEDREC_STORE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kedrec"


_records: list[set[Path]] = []


@contextmanager
def artefacts_recorded() -> Iterator[set[Path]]:
    """Yield a set that collects the folder of every artefact that any store returns within the block."""
    record: set[Path] = set()
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)


class Store:
    """The folder of prepared artefacts.

    Args:
        root: the folder; ``None`` takes ``$KEDREC_STORE``, else the user's cache folder.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()

    @property
    def lasting(self) -> Path:
        """The folder of files that are kept but are no artefacts, such as logs of answers."""
        return self.root

    def get(self, kind: str, key: Key, build: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """Return the artefact's folder, built by ``build(folder)`` if it is absent or damaged.

        Args:
            kind: the kind of artefact, a folder name ("graph", "index", ...).
            key: everything that the content depends on, as JSON values; input files by their hash.
            build: fills an empty folder. One process builds; others wait for it.
            resumable: whether the folder of a ``build`` that was stopped or failed is handed to the next one, which
                continues it: for downloads and for answers that cost money.

        Raises:
            KedrecError: the store is full or cannot be written.
        """
        artefact = self.root / kind / key_hash(key)
        for record in _records:
            record.add(artefact)
        if self._is_complete(artefact):
            return artefact
        with disk_faults_named(artefact, "free some space, or set KEDREC_STORE to another folder"):
            artefact.parent.mkdir(parents=True, exist_ok=True)
            with self._lock(artefact):
                if not self._is_complete(artefact):
                    self._build(artefact, key, build, resumable)
        return artefact

    @contextmanager
    def _lock(self, artefact: Path) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(artefact.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            print(f"waiting for another process that prepares {artefact}", file=sys.stderr, flush=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _build(self, artefact: Path, key: Key, build: Callable[[Path], None], resumable: bool) -> None:
        partial = artefact.with_suffix(".partial")
        if not resumable:  # left by a process that was killed: no other process holds the lock
            shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(exist_ok=True)
            (partial / _MANIFEST).unlink(missing_ok=True)  # of a process killed just before it renamed the folder
            build(partial)
            files = {
                str(path.relative_to(partial)): {"bytes": path.stat().st_size, "sha256": file_hash(path)}
                for path in sorted(partial.rglob("*"))
                if path.is_file()
            }
            manifest = {"key": dict(key), "files": files}
            write_atomic(partial / _MANIFEST, json.dumps(manifest, indent=1, sort_keys=True, default=str))
            publish_folder(partial, artefact)
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise

    def adopt(self, folder: Path, kind: str, name: str) -> bool:
        """Move an artefact of another store into this one; return ``False`` if this store has it already.

        Raises:
            KedrecError: the artefact is not complete, or its name is not the hash of its key.
        """
        artefact = self.root / kind / name
        if self._is_complete(artefact):
            return False
        if not self._is_complete(folder) or key_hash(json.loads((folder / _MANIFEST).read_text())["key"]) != name:
            raise KedrecError(f"{folder}: not a complete artefact named by its key; make the bundle again")
        artefact.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(artefact):
            publish_folder(folder, artefact)
        return True

    def holds(self, kind: str, key: Key) -> bool:
        """Whether the store has the complete artefact."""
        return self._is_complete(self.root / kind / key_hash(key))

    def _is_complete(self, artefact: Path) -> bool:
        """Whether every file of the artefact is there with its size and checksum; a file is read once a process."""
        try:
            files = json.loads((artefact / _MANIFEST).read_text(encoding="utf-8"))["files"]
        except FileNotFoundError:
            return False
        except (ValueError, KeyError):
            log.warning("%s: its manifest cannot be read; it is built again", artefact)
            return False
        for name, expected in files.items():
            path = artefact / name
            if not path.is_file() or path.stat().st_size != expected["bytes"] or file_hash(path) != expected["sha256"]:
                log.warning("%s: the file is damaged; the artefact is built again", path)
                return False
        return True


class PlanningStore(Store):
    """A store for plans: it reads from another store, and builds in a temporary folder what that one lacks.

    Args:
        real: the other store, only read.
        scratch: the temporary folder.
    """

    def __init__(self, real: Store, scratch: Path) -> None:
        super().__init__(scratch)
        self.real = real

    @property
    def lasting(self) -> Path:
        """The folder of the real store, to be read."""
        return self.real.root

    def get(self, kind: str, key: Key, build: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """Return the artefact's folder, in the real store if it is complete there."""
        if self.real.holds(kind, key):
            return self.real.root / kind / key_hash(key)
        return super().get(kind, key, build, resumable=resumable)

    def holds(self, kind: str, key: Key) -> bool:
        """Whether the real store holds it."""
        return self.real.holds(kind, key)
