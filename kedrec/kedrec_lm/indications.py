"""Irrelevant drugs that another source calls relevant: false negatives, as far as that source is right."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.splits.pairs import Pair
from kedrec.storage.compressed_text import text_lines

HEADER = ["drug", "disease"]
_SHOWN = 20  # contested irrelevant drugs that the card names


def load_indications(path: str | Path) -> set[tuple[str, str]]:
    """Read (drug, disease) pairs that a source of the user's states.

    Args:
        path: TSV, plain, gz or zst, of two columns ``drug`` and ``disease`` with entity ids as the graph has them; a
            header may name them, further columns are ignored.

    Raises:
        KedrecError: a missing file, or a line that is not of the form, with its number.
    """
    found = set()
    for number, line in text_lines(Path(path)):
        cells = line.rstrip("\r").split("\t")
        if number == 1 and cells[:2] == HEADER:
            continue
        drug, disease = cells[:2] if len(cells) > 1 else ("", "")
        if not (drug.startswith("Compound::") and disease.startswith("Disease::")):
            raise KedrecError(f"{path}: line {number}: expected a compound's and a disease's id, as Compound::DB00945")
        found.add((drug, disease))
    if not found:
        raise KedrecError(f"{path}: holds no pair of a drug and a disease")
    return found


def contested(pairs: Iterable[Pair], indications: set[tuple[str, str]]) -> Sequence[Pair]:
    """Return the pairs whose irrelevant drug the indications call relevant, in their order."""
    return [pair for pair in pairs if (pair.irrelevant, pair.disease) in indications]


def contested_facts(pairs: Sequence[Pair], path: str) -> dict[str, str]:
    """Return, for the card, how many irrelevant drugs a source of indications calls relevant, and the first of them."""
    contested_pairs = contested(pairs, load_indications(path))
    shown = ", ".join(f"{pair.irrelevant} for {pair.disease} ({pair.split})" for pair in contested_pairs[:_SHOWN])
    count = f"{len(contested_pairs)} of {len(pairs)} by {path}"
    if not contested_pairs:
        return {"contested negatives": count}
    return {"contested negatives": f"{count}: {shown}{', ...' if len(contested_pairs) > _SHOWN else ''}"}
