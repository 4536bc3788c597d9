"""A folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.storage.atomic_files import disk_faults_named


@contextmanager
def appearing_whole(place: Path) -> Iterator[Path]:
    """Give an empty folder to fill; after the block it stands at ``place`` and what was there is gone.

    Where the block fails, nothing of it is left and ``place`` is as it was.

    Raises:
        KedrecError: another process is writing it, the disk is full or the place cannot be written.
    """
    from filelock import FileLock, Timeout

    partial, old = (place.with_name(f".{place.name}.{end}") for end in ("partial", "old"))
    with disk_faults_named(place, "free some space, or name another place"):
        partial.mkdir(parents=True, exist_ok=True)
        lock = FileLock(partial / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise KedrecError(f"{place}: another process is writing it; wait for it, or name another place") from None
        try:
            _clear(partial)  # of what a process that was killed has left
            yield partial
            for file in partial.rglob("*"):
                if file.is_file():
                    _flush(file)
            (partial / ".lock").unlink(missing_ok=True)
            if place.exists():
                shutil.rmtree(old, ignore_errors=True)
                place.rename(old)
            partial.rename(place)
        finally:
            lock.release()
            for left in (partial, old):
                shutil.rmtree(left, ignore_errors=True)


def _clear(folder: Path) -> None:
    for made in folder.iterdir():
        if made.is_dir():
            shutil.rmtree(made)
        elif made.name != ".lock":
            made.unlink()


def _flush(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
