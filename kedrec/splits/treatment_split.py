"""The split of a graph's treatments: which (drug, disease) is for training, validation or test; and its file.

It is the one authority on what is held out: triples, pairs, passages, rationales and descriptions follow from it. A run
writes it to its folder as ``split.tsv``, and other runs can read it from there.
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.graph.links import Edge
from kedrec.sources.text.dates import last_day
from kedrec.splits.seeded_split import SPLITS, Split
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.compressed_text import text_lines

FILE = "split.tsv"
"""Its name in a run folder."""
COLUMNS = ("drug", "disease", "split", "date")
_FIRST_LINE = "# kedrec split "
_ORIGIN = ("by", "seed", "graph", "names", "texts")


@dataclass(frozen=True, eq=False)
class TreatmentSplit:
    """The split to which each (drug, disease) with a therapeutic edge belongs, by canonical ids.

    The last two attributes are not written to the file.

    Attributes:
        by: what was split: ``pair``, ``disease``, ``drug``, ``date``, or a description of another rule.
        seed: of the split; ``None`` where none was used.
        graph: SHA-256 of the graph.
        names: SHA-256 of the file of entity names, which decide which ids are merged; ``None`` without one.
        texts: SHA-256 of the texts that gave the dates; ``None`` without dates.
        split_of: (drug, disease), by canonical ids, -> split.
        dates: (drug, disease) -> when a text first named both, ``YYYY-MM-DD``, ``YYYY-MM`` or ``YYYY``.
        unseen_diseases: diseases of the test split whose triples form a test set of their own.
        isolated_diseases: disease -> split that takes all its links to drugs, also those that state no treatment.
    """

    by: str
    seed: int | None
    graph: str
    names: str | None
    texts: str | None
    split_of: Mapping[Edge, Split]
    dates: Mapping[Edge, str] = field(default_factory=dict)
    unseen_diseases: frozenset[str] = frozenset()
    isolated_diseases: Mapping[str, Split] = field(default_factory=dict)

    def of(self, *splits: Split) -> set[Edge]:
        """Return the treatments of some splits."""
        return {edge for edge, split in self.split_of.items() if split in splits}

    @functools.cached_property
    def held_out(self) -> set[Edge]:
        """The treatments of validation and test."""
        return self.of("validation", "test")

    @functools.cached_property
    def cuts(self) -> dict[Split, date]:
        """The day from which on training, and validation, may see no text; empty unless the split is by date."""
        cut_of: dict[Split, date] = {}
        later_splits: dict[Split, tuple[Split, ...]] = {"train": ("validation", "test"), "validation": ("test",)}
        for split, later in later_splits.items():
            days = [last_day(self.dates[edge]) for edge in self.of(*later) if edge in self.dates]
            if known := [day for day in days if day]:
                cut_of[split] = min(known)
        return cut_of

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 of the file that ``save`` writes."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """What the run's card reports of the split."""
        counts = Counter(self.split_of.values())
        facts: dict[str, Any] = {"by": self.by, "seed": self.seed, "sha256": self.identity}
        facts |= {split: f"{counts[split]} treatments" for split in SPLITS}
        if self.cuts:
            facts["cuts"] = {split: f"texts before {day} alone" for split, day in self.cuts.items()}
            facts["without a date, for training"] = len(self.split_of) - len(self.dates)
        return facts

    def save(self, path: Path) -> None:
        """Write the file: a line on its origin, a header, and one line per treatment, tab-separated."""
        write_atomic(path, self._text())

    @classmethod
    def load(cls, path: str | Path) -> "TreatmentSplit":
        """Read what ``save`` wrote.

        Raises:
            KedrecError: the file is missing or malformed; with the file and the line.
        """
        lines = text_lines(Path(path))
        origin = _origin(path, next(lines, (1, ""))[1])
        number, header = next(lines, (2, ""))
        if tuple(header.rstrip("\r").split("\t")) != COLUMNS:
            raise KedrecError(f"{path}: line {number}: expected the header {' '.join(COLUMNS)!r}, tab-separated")
        split_of, dates = _rows(path, lines)
        for split in ("train", "test"):  # a graph model needs no validation
            if split not in split_of.values():
                raise KedrecError(f"{path}: no treatment is in the {split} split")
        return cls(**origin, split_of=split_of, dates=dates)

    def check_graph(
        self,
        path: str | Path,
        graph: str,
        names: str | None,
        treatments: Collection[Edge],
        canonical_id: Callable[[str], str],
    ) -> None:
        """Make sure that the split was made for a graph.

        Args:
            path: the split's file, for the message.
            graph: SHA-256 of the graph that it is used with.
            names: SHA-256 of the file of entity names that it is used with.
            treatments: those that the graph states, by canonical ids.
            canonical_id: from an entity id to its canonical id.

        Raises:
            KedrecError: the split is of another graph or other names, lacks a treatment of the graph, or names an
                entity by an id that is not canonical, so that the line would hold nothing out.
        """
        remedy = "use the graph of that split, or leave data.init_args.split.file out to split this one"
        for what, own, other in (("graph", self.graph, graph), ("entities.tsv", self.names, names)):
            if own != other:
                raise KedrecError(
                    f"{path}: a split of another {what} (SHA-256 {str(own)[:12]}, here {str(other)[:12]}); {remedy}"
                )
        if missing := sorted(set(treatments) - self.split_of.keys()):
            raise KedrecError(
                f"{path}: {len(missing)} of {len(treatments)} treatments are not in it, such as "
                f"{' '.join(missing[0])}; it was made with other data.init_args.relations"
            )
        for edge in sorted(self.split_of):
            if (canonical := (canonical_id(edge[0]), canonical_id(edge[1]))) != edge:
                raise KedrecError(
                    f"{path}: {' '.join(edge)}: this id is a synonym of another; write {' '.join(canonical)}, "
                    "in one line only"
                )

    def _text(self) -> str:
        origin = {name: getattr(self, name) for name in _ORIGIN}
        lines = [_FIRST_LINE + json.dumps(origin), "\t".join(COLUMNS)]
        lines += ["\t".join((*edge, self.split_of[edge], self.dates.get(edge, ""))) for edge in sorted(self.split_of)]
        return "".join(f"{line}\n" for line in lines)


def _origin(path: str | Path, line: str) -> dict[str, Any]:
    try:
        origin = json.loads(line.removeprefix(_FIRST_LINE))
        return {name: origin[name] for name in _ORIGIN}
    except (ValueError, KeyError, TypeError) as fault:
        raise KedrecError(
            f"{path}: line 1: not the split of a run; expected {_FIRST_LINE!r} and then {', '.join(_ORIGIN)} as JSON"
        ) from fault


def _rows(path: str | Path, lines: Iterator[tuple[int, str]]) -> tuple[dict[Edge, Split], dict[Edge, str]]:
    split_of: dict[Edge, Split] = {}
    dates: dict[Edge, str] = {}
    named: dict[str, Split] = {name: name for name in SPLITS}
    for number, line in lines:
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(COLUMNS) or cells[2] not in named:
            raise KedrecError(f"{path}: line {number}: expected drug, disease, {' or '.join(SPLITS)}, and a date")
        drug, disease, split, written = cells
        if not (drug.startswith("Compound::") and disease.startswith("Disease::")):
            raise KedrecError(
                f"{path}: line {number}: expected the ids of a compound and a disease, such as Compound::DB00945"
            )
        if (drug, disease) in split_of:
            raise KedrecError(f"{path}: line {number}: {drug} {disease} is repeated; keep one of the lines")
        if written and last_day(written) is None:
            raise KedrecError(f"{path}: line {number}: {written!r} is not a date; expected YYYY-MM-DD, YYYY-MM or YYYY")
        split_of[drug, disease] = named[split]
        if written:
            dates[drug, disease] = written
    return split_of, dates
