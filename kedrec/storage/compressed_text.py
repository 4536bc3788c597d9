"""Lines of plain, gzip and Zstandard files; a truncated file is always an error."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from kedrec.errors import KedrecError

ENDINGS = ("", ".gz", ".zst")


def line_blocks(path: Path, size: int = 1 << 25) -> Iterator[bytes]:
    """Yield the content of a plain, gzip (``.gz``) or Zstandard (``.zst``) file in blocks of complete lines.

    A byte order mark at the start is dropped.

    Args:
        path: the file; its suffix decides the compression.
        size: approximate size of a block, bytes.

    Raises:
        KedrecError: the file is missing, cannot be read, or is no complete compressed file.
    """
    rest = b""
    first = True
    try:
        with path.open("rb") as handle:
            for chunk in _chunks(path, handle, size):
                if first:
                    chunk = chunk.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
                    first = False
                end = chunk.rfind(b"\n") + 1
                if end:
                    yield rest + chunk[:end]
                    rest = chunk[end:]
                else:
                    rest += chunk
    except FileNotFoundError as fault:
        raise KedrecError(f"{path}: no such file") from fault
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as fault:
        raise KedrecError(f"{path}: the compressed file is damaged or cut short ({fault}); fetch it again") from fault
    except (PermissionError, IsADirectoryError) as fault:
        raise KedrecError(f"{path}: cannot be read ({fault.strerror})") from fault
    if rest:
        yield rest


def _chunks(path: Path, handle: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield decompressed chunks of about ``size`` bytes."""
    if path.suffix == ".zst":
        yield from _zstd_chunks(handle, size)
        return
    with gzip.open(handle) if path.suffix == ".gz" else handle as stream:
        while chunk := stream.read(size):
            yield chunk


def _zstd_chunks(handle: BinaryIO, size: int) -> Iterator[bytes]:
    """Decompress frame by frame: zstandard's own stream reader does not notice that a file is truncated."""
    held: list[bytes] = []
    length = 0
    frame = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    while data := handle.read(1 << 16):
        while data:
            begun = True
            piece = frame.decompress(data)
            held.append(piece)
            length += len(piece)
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame, begun = zstandard.ZstdDecompressor().decompressobj(), False
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if begun:
        raise EOFError("it ends in the middle of a frame")
    if length:
        yield b"".join(held)


def find_beside(folder: Path, stems: tuple[str, ...]) -> Path | None:
    """Return the first of ``stem[.gz|.zst]`` in a folder, or ``None``."""
    return next((path for stem in stems for end in ENDINGS if (path := folder / f"{stem}{end}").is_file()), None)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end); only a newline ends a line, no other separator of Unicode.

    Raises:
        KedrecError: see `line_blocks`; or a line is not UTF-8.
    """
    line = 0
    for block in line_blocks(path, 1 << 20):
        for content in block.removesuffix(b"\n").split(b"\n"):
            line += 1
            try:
                yield line, content.decode("utf-8")
            except UnicodeDecodeError as fault:
                raise KedrecError(f"{path}:{line}: not UTF-8 ({fault.reason}); save the file as UTF-8") from fault
