"""Which diseases are kinds of which: what treats a parent or a child of a disease is not irrelevant to it."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.storage.compressed_text import text_lines

HEADER = ["child", "parent"]


def load_kin(path: str | Path, keep: Callable[[str], str]) -> Mapping[str, set[str]]:
    """Read a hierarchy; return disease -> its parents and children.

    Args:
        path: TSV, plain, gz or zst, of two columns ``child`` and ``parent`` with entity ids as the graph has them; a
            header may name them, further columns are ignored.
        keep: the id that stands for an id and its namesakes in the graph.

    Raises:
        KedrecError: a missing file, or a line that is not of the form, with its number.
    """
    kin: dict[str, set[str]] = defaultdict(set)
    for number, line in text_lines(Path(path)):
        cells = line.rstrip("\r").split("\t")
        if number == 1 and cells[:2] == HEADER:
            continue
        child, parent = cells[:2] if len(cells) > 1 else ("", "")
        if not (child.startswith("Disease::") and parent.startswith("Disease::")):
            raise KedrecError(f"{path}: line {number}: expected two diseases' ids, as Disease::DOID:9352, child first")
        child, parent = keep(child), keep(parent)
        if child != parent:
            kin[child].add(parent)
            kin[parent].add(child)
    if not kin:
        raise KedrecError(f"{path}: holds no child and parent")
    return kin
