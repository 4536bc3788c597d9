"""Headerless TSVs of head, relation, tail parsed to arrays."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_ids import is_entity
from kedrec.storage.compressed_text import line_blocks

COLUMNS = ("head", "relation", "tail")


def parse_files(sources: Sequence[Path]) -> tuple[npt.NDArray[np.int32], list[str], list[str], list[int]]:
    """Parse headerless TSVs of head, relation, tail into one pair of vocabularies, in order of first appearance.

    Returns:
        ``(lines, 3)`` rows of head, relation, tail, one file after the other; the entities; the relations; the number
        of lines of each file.

    Raises:
        KedrecError: as ``load_graph``, except that an empty file is allowed.
    """
    # Codes come from interning in parallel, so they depend on the machine; the order of appearance renames them.
    entity_names, relation_names = pl.Categories.random(), pl.Categories.random()
    # polars forgets names that no column uses any more: these two hold them from one block to the next.
    holders = [pl.Series(dtype=pl.Categorical(names)) for names in (entity_names, relation_names)]
    parts = [np.empty((0, 3), dtype=np.uint32)]
    lengths: list[int] = []
    for source in sources:
        line = 1
        for block in line_blocks(source):
            frame = _parse_block(source, block, line)
            line += frame.height
            columns = zip(COLUMNS, (holders[0].dtype, holders[1].dtype, holders[0].dtype), strict=True)
            parts.append(np.stack([frame[name].cast(kind).to_physical().to_numpy() for name, kind in columns], axis=1))
        lengths.append(line - 1)
    codes = np.concatenate(parts)
    del parts
    lines = np.empty(codes.shape, dtype=np.int32)
    lines[:, ::2], entities = _by_appearance(codes[:, ::2], entity_names.to_series())
    lines[:, 1:2], relations = _by_appearance(codes[:, 1:2], relation_names.to_series())
    for row, entity in enumerate(entities):
        if not is_entity(entity):
            where = line_of(int((lines[:, ::2] == row).any(axis=1).argmax()), sources, lengths)
            raise KedrecError(f"{where}: {entity!r} is not an entity; expected Type::id, such as Compound::DB00945")
    return lines, entities, relations, lengths


def line_of(index: int, sources: Sequence[Path], lengths: Sequence[int]) -> str:
    """Return "file, line number" for a line that ``parse_files`` returned, counted from 0 over all files."""
    ends = np.cumsum(lengths)
    file = int(np.searchsorted(ends, index, side="right"))
    return f"{sources[file]}, line {index - int(ends[file]) + lengths[file] + 1}"


def _parse_block(source: Path, block: bytes, line: int) -> pl.DataFrame:
    """Return the block's three columns; ``line`` is the number of its first line."""
    schema = dict.fromkeys(COLUMNS, pl.String)
    try:
        frame = pl.read_csv(io.BytesIO(block), has_header=False, separator="\t", quote_char=None, schema=schema)
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError) as fault:
        raise _first_fault(source, block, line) from fault
    if any(frame.null_count().row(0)):
        raise _first_fault(source, block, line)
    return frame


def _first_fault(source: Path, block: bytes, line: int) -> KedrecError:
    """Return the error of the first malformed line; polars does not report which line it could not parse."""
    for number, raw in enumerate(block.removesuffix(b"\n").split(b"\n"), start=line):
        try:
            fields = raw.removesuffix(b"\r").decode().split("\t")
        except UnicodeDecodeError as fault:
            return KedrecError(f"{source}, line {number}: not UTF-8 ({fault.reason}); convert the file")
        if len(fields) != len(COLUMNS):
            return KedrecError(
                f"{source}, line {number}: {len(fields)} column(s), expected 3: head, relation, tail, tab-separated"
            )
        if "" in fields:
            return KedrecError(f"{source}, line {number}: the {COLUMNS[fields.index('')]} is empty")
    raise AssertionError(f"{source}: polars refuses lines {line} and on, and none of them looks wrong")


def _by_appearance(codes: npt.NDArray[np.uint32], names: pl.Series) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Renumber ``codes``, ``(lines, columns)``, in order of first appearance; return them with their names."""
    flat = codes.ravel()
    first = np.full(len(names), len(flat))
    first[flat[::-1]] = np.arange(len(flat) - 1, -1, -1)  # of repeated indices numpy keeps the last: the earliest place
    order = np.argsort(first)[: np.count_nonzero(first < len(flat))]  # polars may leave codes without a name
    rows = np.empty(len(names), dtype=np.int32)
    rows[order] = np.arange(len(order), dtype=np.int32)
    return rows[codes], names.gather(order).to_list()
