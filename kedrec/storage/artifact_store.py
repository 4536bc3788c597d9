"""Prepared artefacts: built once, under a name that is the hash of what went in, and verified before each use.

An artefact is a folder ``<root>/<kind>/<hash>/`` with a ``manifest.json`` of its key, sizes and SHA-256 sums. It is
built in a ``.partial`` folder beside it under a file lock and renamed into place: a folder with that name is whole.
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
    if named := os.environ.get("KEDREC_STORE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kedrec"


_records: list[set[Path]] = []


@contextmanager
def artefacts_recorded() -> Iterator[set[Path]]:
    """Within the block the set that is given holds the folder of every artefact that was asked for, of any store."""
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
        """The folder of what is no artefact and is kept all the same, such as logs of answers."""
        return self.root

    def get(self, kind: str, key: Key, build: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """Return the artefact's folder, built by ``build(folder)`` if it is absent or damaged.

        Args:
            kind: the sort of artefact, a folder name ("graph", "index", ...).
            key: everything the content depends on, as JSON values; file inputs by their hash.
            build: fills the empty folder it is given. One process builds; others wait for it.
            resumable: what a ``build`` that was stopped or failed had written is kept and given to the next one, which
                goes on with it: for downloads and for answers that are paid for.

        Raises:
            KedrecError: the store is full or cannot be written.
        """
        place = self.root / kind / key_hash(key)
        for record in _records:
            record.add(place)
        if self._whole(place):
            return place
        with disk_faults_named(place, "free some space, or set KEDREC_STORE to another folder"):
            place.parent.mkdir(parents=True, exist_ok=True)
            with self._lock(place):
                if not self._whole(place):
                    self._build(place, key, build, resumable)
        return place

    @contextmanager
    def _lock(self, place: Path) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(place.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            print(f"waiting for another process that prepares {place}", file=sys.stderr, flush=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _build(self, place: Path, key: Key, build: Callable[[Path], None], resumable: bool) -> None:
        partial = place.with_suffix(".partial")
        if not resumable:  # left by a process that was killed: the lock says nobody is in it
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
            publish_folder(partial, place)
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise

    def adopt(self, folder: Path, kind: str, name: str) -> bool:
        """Move an artefact that came from another store into its place; return whether it was wanted.

        Raises:
            KedrecError: it is not whole, or its name is not that of its key.
        """
        place = self.root / kind / name
        if self._whole(place):
            return False
        if not self._whole(folder) or key_hash(json.loads((folder / _MANIFEST).read_text())["key"]) != name:
            raise KedrecError(f"{folder}: not a whole artefact named by its key; make the bundle again")
        place.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(place):
            publish_folder(folder, place)
        return True

    def holds(self, kind: str, key: Key) -> bool:
        """Whether the artefact is there, whole: what a plan asks before it counts the work."""
        return self._whole(self.root / kind / key_hash(key))

    def _whole(self, place: Path) -> bool:
        """Whether every file of the artefact is there with its size and checksum."""
        try:
            files = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))["files"]
        except FileNotFoundError:
            return False
        except (ValueError, KeyError):
            log.warning("%s: its manifest cannot be read; it is built again", place)
            return False
        for name, seen in files.items():
            path = place / name
            if not path.is_file() or path.stat().st_size != seen["bytes"] or file_hash(path) != seen["sha256"]:
                log.warning("%s: the file is damaged; the artefact is built again", path)
                return False
        return True


class PlanningStore(Store):
    """Reads what a store holds and builds what it lacks in a folder that is thrown away: for plans.

    Args:
        real: is only read.
        scratch: a temporary folder.
    """

    def __init__(self, real: Store, scratch: Path) -> None:
        super().__init__(scratch)
        self.real = real

    @property
    def lasting(self) -> Path:
        """That of the real store, to be read."""
        return self.real.root

    def get(self, kind: str, key: Key, build: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """Return the artefact's folder, of the real store where it is whole there."""
        if self.real.holds(kind, key):
            return self.real.root / kind / key_hash(key)
        return super().get(kind, key, build, resumable=resumable)

    def holds(self, kind: str, key: Key) -> bool:
        """Whether the real store holds it."""
        return self.real.holds(kind, key)
