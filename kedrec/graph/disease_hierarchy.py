"""The hierarchy of diseases: a drug that treats a parent or a child of a disease is not irrelevant to it."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.storage.compressed_text import text_lines

HEADER = ["child", "parent"]


def load_kin(path: str | Path, canonical_id: Callable[[str], str]) -> Mapping[str, set[str]]:
    """Read a hierarchy; return disease -> its parents and children.

    Args:
        path: TSV, plain, gz or zst, of two columns ``child`` and ``parent`` with entity ids as in the graph; a header
            with these names is optional, further columns are ignored.
        canonical_id: from an entity id to its canonical id.

    Raises:
        KedrecError: the file is missing or empty, or a line is malformed; with its number.
    """
    kin: dict[str, set[str]] = defaultdict(set)
    for number, line in text_lines(Path(path)):
        cells = line.rstrip("\r").split("\t")
        if number == 1 and cells[:2] == HEADER:
            continue
        child, parent = cells[:2] if len(cells) > 1 else ("", "")
        if not (child.startswith("Disease::") and parent.startswith("Disease::")):
            raise KedrecError(f"{path}: line {number}: expected two ids such as Disease::DOID:9352, child first")
        child, parent = canonical_id(child), canonical_id(parent)
        if child != parent:
            kin[child].add(parent)
            kin[parent].add(child)
    if not kin:
        raise KedrecError(f"{path}: no line in it; expected a child and a parent per line")
    return kin
