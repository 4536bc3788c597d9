"""Text files that are written completely or not at all, and clear errors of a full or read-only disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kedrec.errors import KedrecError


@contextmanager
def disk_faults_named(path: Path, remedy: str) -> Iterator[None]:
    """Turn the error of a full or read-only disk into a `KedrecError` that names ``path`` and ``remedy``."""
    try:
        yield
    except OSError as fault:
        reason = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}.get(fault.errno or 0)
        reason = reason or ("it cannot be written" if fault.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else None)
        if reason is None and "No space left on device" not in str(fault):
            raise
        raise KedrecError(f"{fault.filename or path}: {reason or 'the disk is full'}; {remedy}") from fault
    except RuntimeError as fault:  # torch's zip writer and safetensors wrap the system's error in their own
        if "No space left on device" not in str(fault) and "file write failed" not in str(fault):
            raise
        raise KedrecError(f"{path}: the disk is full; {remedy}") from fault


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that ``path`` always holds either all of the old text or all of the new."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):  # the name may be too long
            partial.unlink(missing_ok=True)
        raise


def check_named(path: Path) -> None:
    """Check the name of an output file before there is anything to write.

    Raises:
        KedrecError: the path is a folder, or cannot be a path.
    """
    try:
        folder = path.is_dir()
    except OSError as fault:
        raise KedrecError(f"{path}: {fault.strerror}; name another file") from fault
    if folder:
        raise KedrecError(f"{path}: a folder; name a file in it")


def write_named(path: Path, text: str) -> None:
    """Write a text file whose name the user chose, and create its folders; a device or pipe is written into.

    Raises:
        KedrecError: the file cannot be written; says why.
    """
    check_named(path)
    try:
        with disk_faults_named(path, "name another file"):
            # /dev/stdout, a pipe or a link must not be replaced by a plain file.
            if path.is_symlink() or (path.exists() and not path.is_file()):
                path.write_text(text, encoding="utf-8")
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text)
    except OSError as fault:
        raise KedrecError(f"{path}: {fault.strerror}; name another file") from fault
