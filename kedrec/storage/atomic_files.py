"""Text files that are whole or absent, and clear errors of a full or read-only disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kedrec.errors import KedrecError


@contextmanager
def disk_faults_named(place: Path, remedy: str) -> Iterator[None]:
    """Turn a full disk and a read-only place into one clear error that names ``place`` and ``remedy``."""
    try:
        yield
    except OSError as fault:
        reason = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}.get(fault.errno or 0)
        reason = reason or ("it cannot be written" if fault.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else None)
        if reason is None and "No space left on device" not in str(fault):
            raise
        raise KedrecError(f"{fault.filename or place}: {reason or 'the disk is full'}; {remedy}") from fault
    except RuntimeError as fault:  # torch's zip writer and safetensors wrap the system's error in their own
        if "No space left on device" not in str(fault) and "file write failed" not in str(fault):
            raise
        raise KedrecError(f"{place}: the disk is full; {remedy}") from fault


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that ``path`` holds either its old content or all of the new."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):  # of a name that is too long
            partial.unlink(missing_ok=True)
        raise


def check_named(path: Path) -> None:
    """Raise where a file that the user has named cannot be one, before there is anything to write.

    Raises:
        KedrecError: it is a folder, or no name at all.
    """
    try:
        folder = path.is_dir()
    except OSError as fault:
        raise KedrecError(f"{path}: {fault.strerror}; name another file") from fault
    if folder:
        raise KedrecError(f"{path}: a folder; name a file in it")


def write_named(path: Path, text: str) -> None:
    """Write a text file that the user has named, and the folders that it lies in; a device or pipe is written into.

    Raises:
        KedrecError: it cannot be written there; says why.
    """
    check_named(path)
    try:
        with disk_faults_named(path, "name another file"):
            # What is no plain file must not be replaced by one: /dev/stdout, a pipe, a link.
            if path.is_symlink() or (path.exists() and not path.is_file()):
                path.write_text(text, encoding="utf-8")
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text)
    except OSError as fault:
        raise KedrecError(f"{path}: {fault.strerror}; name another file") from fault
