"""Folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.storage.atomic_files import disk_faults_named


def publish_folder(partial: Path, folder: Path) -> None:
    """Rename a complete folder to its final name, in place of an earlier one; a reader finds the old or the new one.

    Args:
        partial: the complete folder, on the same disk; its files are flushed to the disk first.
        folder: the final name.
    """
    flush(partial)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Flush a file, or all files in a folder, to the disk."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


@contextmanager
def appearing_whole(folder: Path, remedy: str = "free some space, or name another folder") -> Iterator[Path]:
    """Yield an empty folder to fill; after the block it is published as ``folder``, in place of an earlier one.

    If the block fails, nothing of it is left and ``folder`` is unchanged.

    Args:
        folder: the final name.
        remedy: what the user can do if the disk is full, for the error message.

    Raises:
        KedrecError: another process is writing the folder, the disk is full or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    partial = folder.with_name(f".{folder.name}.partial")
    with disk_faults_named(folder, remedy):
        partial.mkdir(parents=True, exist_ok=True)
        lock = FileLock(partial / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise KedrecError(f"{folder}: another process is writing it; wait for it, or name another folder") from None
        try:
            _clear(partial)  # left by a process that was killed
            yield partial
            (partial / ".lock").unlink(missing_ok=True)
            publish_folder(partial, folder)
        finally:
            lock.release()
            shutil.rmtree(partial, ignore_errors=True)


def _clear(folder: Path) -> None:
    for made in folder.iterdir():
        if made.is_dir():
            shutil.rmtree(made)
        elif made.name != ".lock":
            made.unlink()
