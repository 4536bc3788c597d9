"""Bundles: prepared artefacts in one file, for machines without a network; a Zstandard tar with checksums."""

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

import zstandard

from kedrec.errors import KedrecError
from kedrec.runtime.progress import tell
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import disk_faults_named
from kedrec.storage.hashing import file_hash

_CONTENTS = "contents.json"
_FORMAT = 1
_ARTEFACT = re.compile(r"[\w-]+/[0-9a-f]{20}")
_LARGEST_CONTENTS = 1 << 26  # bytes


def write_bundle(path: Path, artefacts: Iterable[Path]) -> int:
    """Write artefacts of a store into one file; equal artefacts give equal bytes.

    Args:
        path: of the bundle; the file appears when it is complete.
        artefacts: folders of a store, each ``<root>/<kind>/<hash>``.

    Returns:
        The number of artefacts.

    Raises:
        KedrecError: the disk is full or the file cannot be written.
    """
    folders = {f"{folder.parent.name}/{folder.name}": folder for folder in artefacts}
    files = {
        f"{name}/{file.relative_to(folder)}": file
        for name, folder in sorted(folders.items())
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    sums = {name: file_hash(file) for name, file in files.items()}
    partial = path.with_name(f".{path.name}.partial")
    with disk_faults_named(path, "free some space, or name another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                partial.open("wb") as raw,
                zstandard.ZstdCompressor(level=6, threads=-1).stream_writer(raw, closefd=False) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                contents = json.dumps({"format": _FORMAT, "sha256": sums}, indent=1).encode()
                tar.addfile(_member(_CONTENTS, len(contents)), io.BytesIO(contents))
                for done, (name, file) in enumerate(files.items(), start=1):
                    with file.open("rb") as handle:
                        tar.addfile(_member(name, file.stat().st_size), handle)
                    tell("files bundled", done, len(files))
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    return len(folders)


def unbundle(path: Path, store: Store) -> int:
    """Move the artefacts of a bundle into a store; artefacts that the store has already stay as they are.

    Returns:
        The number of artefacts that were added.

    Raises:
        KedrecError: the file is no complete bundle, or a checksum is wrong; then nothing is added.
    """
    scratch = store.root / f".unbundling-{path.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    with disk_faults_named(store.root, "free some space, or set KEDREC_STORE to another folder"):
        try:
            names = _unpack(path, scratch)
            return sum(store.adopt(scratch / name, *name.split("/")) for name in names)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _unpack(path: Path, scratch: Path) -> list[str]:
    """Unpack and check the members into ``scratch``; return the names of the artefacts."""
    if not path.is_file():
        raise KedrecError(f"{path}: no such file; expected a bundle that `kedrec.prepare --bundle` wrote")
    left: dict[str, str] = {}
    names: dict[str, None] = {}
    try:
        with (
            path.open("rb") as raw,
            zstandard.ZstdDecompressor().stream_reader(raw) as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise KedrecError(
                        f"{path}: {member.name!r} is no plain file; expected a bundle of `kedrec.prepare --bundle`"
                    )
                if member.name == _CONTENTS and not left:
                    left = _read_contents(path, content.read(_LARGEST_CONTENTS))
                    continue
                kind, _, rest = member.name.partition("/")
                name = f"{kind}/{rest.partition('/')[0]}"
                parts = Path(member.name).parts
                if member.name not in left or not _ARTEFACT.fullmatch(name) or ".." in parts or len(parts) < 3:
                    raise KedrecError(f"{path}: {member.name!r} is not among its contents; make the bundle again")
                names[name] = None
                file = scratch / member.name
                file.parent.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256()
                with file.open("wb") as handle:
                    while block := content.read(1 << 20):
                        handle.write(block)
                        digest.update(block)
                if digest.hexdigest() != left.pop(member.name):
                    raise KedrecError(f"{path}: {member.name}: the checksum is wrong; copy the bundle again")
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as fault:
        raise KedrecError(f"{path}: damaged or cut short ({fault}); copy or make it again") from fault
    if left or not names:
        missing = next(iter(left), "everything")
        raise KedrecError(f"{path}: cut short: {missing} is missing; copy or make it again")
    return list(names)


def _read_contents(path: Path, content: bytes) -> dict[str, str]:
    try:
        contents = json.loads(content)
        if contents["format"] == _FORMAT:
            return {str(name): str(value) for name, value in contents["sha256"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise KedrecError(
            f"{path}: its contents cannot be read; expected a bundle that `kedrec.prepare --bundle` wrote"
        ) from fault
    raise KedrecError(
        f"{path}: a bundle of format {contents['format']}, not {_FORMAT}; make it again with this version of kedrec"
    )


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member
