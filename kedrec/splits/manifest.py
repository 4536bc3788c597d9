"""The manifest of a split: of each therapeutic treatment whether it is for training, validation or the test.

Graph, retrieval, teacher and student of an experiment obey one: a run writes it to its folder, and others take it up.
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.graph.links import Edge
from kedrec.sources.text.dates import last_day
from kedrec.splits.seeded_split import SPLITS, Split, cut_days
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.compressed_text import text_lines

FILE = "split.tsv"
"""What a run folder calls it."""
COLUMNS = ("drug", "disease", "split", "date")
_BEGINS = "# kedrec split "
_ORIGIN = ("by", "seed", "graph", "names", "texts")


@dataclass(frozen=True, eq=False)
class Manifest:
    """Which split each (drug, disease) with a therapeutic edge belongs to, drugs and diseases of one name merged.

    Attributes:
        by: what was split, in words: ``pair``, ``disease``, ``drug``, ``date``, or what else decided.
        seed: of the split; ``None`` where none was used.
        graph: SHA-256 of the graph.
        names: SHA-256 of the file of its entities' names, which say what is merged; ``None`` without one.
        texts: SHA-256 of the texts that gave the dates; ``None`` where none did.
        split_of: (drug, disease), by the ids that stand for their namesakes, -> split.
        dates: (drug, disease) -> when a text first named both, ``YYYY-MM-DD``, ``YYYY-MM`` or ``YYYY``.
    """

    by: str
    seed: int | None
    graph: str
    names: str | None
    texts: str | None
    split_of: Mapping[Edge, Split]
    dates: Mapping[Edge, str] = field(default_factory=dict)

    def of(self, *splits: Split) -> set[Edge]:
        """Return the treatments of some splits."""
        return {edge for edge, split in self.split_of.items() if split in splits}

    @functools.cached_property
    def cuts(self) -> dict[Split, date]:
        """Of training and validation the day from which on they may see no text; none where no date decided."""
        first: dict[Split, date] = {}
        hidden: dict[Split, tuple[Split, ...]] = {"train": ("validation", "test"), "validation": ("test",)}
        for split, later in hidden.items():
            days = [last_day(self.dates[edge]) for edge in self.of(*later) if edge in self.dates]
            if known := [day for day in days if day]:
                first[split] = min(known)
        return first

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 of the file that ``save`` writes."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """What a run's card says of it."""
        counts = Counter(self.split_of.values())
        told: dict[str, Any] = {"by": self.by, "seed": self.seed, "sha256": self.identity}
        told |= {split: f"{counts[split]} treatments" for split in SPLITS}
        if self.cuts:
            told["cuts"] = {split: f"texts before {day} alone" for split, day in self.cuts.items()}
            told["without a date, for training"] = len(self.split_of) - len(self.dates)
        return told

    def save(self, path: Path) -> None:
        """Write it: a line that says what it is of, a header, and a line a treatment, tab-separated."""
        write_atomic(path, self._text())

    @classmethod
    def load(cls, path: str | Path) -> "Manifest":
        """Read what ``save`` wrote.

        Raises:
            KedrecError: a missing or damaged file, or a line that is not of the form; with the file and the line.
        """
        lines = text_lines(Path(path))
        origin = _origin(path, next(lines, (1, ""))[1])
        number, header = next(lines, (2, ""))
        if tuple(header.rstrip("\r").split("\t")) != COLUMNS:
            raise KedrecError(f"{path}: line {number}: expected the header {' '.join(COLUMNS)!r}, tab-separated")
        split_of, dates = _rows(path, lines)
        for split in ("train", "test"):  # a model of a graph may do without validation
            if split not in split_of.values():
                raise KedrecError(f"{path}: no treatment is in the {split} split")
        return cls(**origin, split_of=split_of, dates=dates)

    def check(
        self,
        path: str | Path,
        graph: str,
        names: str | None,
        treatments: Collection[Edge],
        kept: Callable[[str], str],
    ) -> None:
        """Make sure that it is of a graph.

        Args:
            path: where it was read, for the message.
            graph: SHA-256 of the graph that it is used with.
            names: SHA-256 of the file of names that it is used with.
            treatments: those that the graph states, namesakes merged.
            kept: from an id to the one that stands for it and its namesakes.

        Raises:
            KedrecError: it is of another graph or other names, lacks one of the treatments, or has a line by an id
                that stands for nothing, which would hold nothing out.
        """
        remedy = "take the graph that it was made of, or make a split of this one by a run without data.init_args.split"
        for what, mine, theirs in (("graph", self.graph, graph), ("entities.tsv", self.names, names)):
            if mine != theirs:
                raise KedrecError(
                    f"{path}: a split of another {what} (SHA-256 {str(mine)[:12]}, here {str(theirs)[:12]}); {remedy}"
                )
        if lacking := sorted(set(treatments) - self.split_of.keys()):
            raise KedrecError(
                f"{path}: {len(lacking)} of {len(treatments)} treatments are not in it, such as "
                f"{' '.join(lacking[0])}; it was made with other data.init_args.relations"
            )
        for edge in sorted(self.split_of):
            if (meant := (kept(edge[0]), kept(edge[1]))) != edge:
                raise KedrecError(
                    f"{path}: {' '.join(edge)}: another id stands for one of the same name; write {' '.join(meant)}, "
                    "in one line alone"
                )

    def _text(self) -> str:
        origin = {name: getattr(self, name) for name in _ORIGIN}
        lines = [_BEGINS + json.dumps(origin), "\t".join(COLUMNS)]
        lines += ["\t".join((*edge, self.split_of[edge], self.dates.get(edge, ""))) for edge in sorted(self.split_of)]
        return "".join(f"{line}\n" for line in lines)


def _origin(path: str | Path, line: str) -> dict[str, Any]:
    try:
        origin = json.loads(line.removeprefix(_BEGINS))
        return {name: origin[name] for name in _ORIGIN}
    except (ValueError, KeyError, TypeError) as fault:
        raise KedrecError(
            f"{path}: line 1: not a split that a run wrote; expected {_BEGINS!r} and then {', '.join(_ORIGIN)} as JSON"
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
            raise KedrecError(f"{path}: line {number}: expected a compound's and a disease's id, as Compound::DB00945")
        if (drug, disease) in split_of:
            raise KedrecError(f"{path}: line {number}: {drug} {disease} comes a second time; keep one line of them")
        if written and last_day(written) is None:
            raise KedrecError(f"{path}: line {number}: {written!r} is no date; expected YYYY-MM-DD, YYYY-MM or YYYY")
        split_of[drug, disease] = named[split]
        if written:
            dates[drug, disease] = written
    return split_of, dates


def split_by_date(
    dates: Mapping[Edge, str], asked: Iterable[Edge], validation: float, test: float
) -> dict[Edge, Split]:
    """Split treatments by when a text first named both: the latest are for the test, those before for validation.

    Args:
        dates: of the treatments that have one, as ``Manifest.dates``.
        asked: those whose shares are to be met, see ``cut_days``; the others are cut at the same days.
        validation: share of the dated among ``asked``.
        test: likewise.

    Raises:
        KedrecError: as ``cut_days``.
    """
    days = {edge: day for edge, written in dates.items() if (day := last_day(written))}
    validated, tested = cut_days([days[edge] for edge in asked if edge in days], validation, test)
    return {
        edge: "test" if day >= tested else "validation" if day >= validated else "train" for edge, day in days.items()
    }
