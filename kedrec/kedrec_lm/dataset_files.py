"""A data set of pairs as files for others: Parquet, chat messages as JSONL, and a card."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS
from kedrec.storage.atomic_folder import appearing_whole
from kedrec.text.passage import Passage

_SHOWN = 40  # lines of settings, facts and lists that a card shows of each


@dataclass(frozen=True)
class DatasetRow:
    """A pair with its names, rationale, passages and messages.

    Attributes:
        pair: the ids.
        names: of disease, relevant and irrelevant drug.
        rationale: the teacher's, with citations ``[passage id]``.
        confidence: the teacher's own, 0 to 1.
        passages: those that were retrieved for the pair.
        messages: the conversation that a student learns from, as chat templates take it.
    """

    pair: Pair
    names: tuple[str, str, str]
    rationale: str
    confidence: float
    passages: Sequence[Passage]
    messages: Sequence[Mapping[str, str]]

    def columns(self) -> dict[str, Any]:
        """Return the row of the Parquet file."""
        disease, relevant, irrelevant = self.names
        return {
            **{name: value for name, value in asdict(self.pair).items() if name != "split"},
            "disease_name": disease,
            "relevant_name": relevant,
            "irrelevant_name": irrelevant,
            "rationale": self.rationale,
            "confidence": self.confidence,
            "passages": [asdict(passage) for passage in self.passages],
        }


def write_dataset(
    folder: Path, name: str, rows: Sequence[DatasetRow], facts: Mapping[str, Any], rejected: Path | None = None
) -> None:
    """Write the data set: whole, in place of an earlier one, or not at all. Equal rows give equal bytes.

    ``<split>.parquet`` (read it with ``datasets.load_dataset(folder)``), ``messages/<split>.jsonl`` (the form that TRL,
    Axolotl and LLaMA-Factory read), ``rejected.jsonl`` with the reason of each pair that was left out, and README.md.

    Args:
        folder: of the data set.
        name: of the data set.
        rows: of all splits, in the order in which they are written.
        facts: what the card reports on how the rows were made.
        rejected: the teacher's rejected answers.

    Raises:
        KedrecError: the disk is full or the folder cannot be written.
    """
    with appearing_whole(folder, "free some space, or name another folder with out=DIR") as partial:
        (partial / "messages").mkdir()
        for split in SPLITS:
            _write_split([row for row in rows if row.pair.split == split], split, partial)
        if rejected is not None:
            shutil.copyfile(rejected, partial / "rejected.jsonl")
        (partial / "README.md").write_text(dataset_card(name, rows, facts), encoding="utf-8")


def dataset_card(name: str, rows: Sequence[DatasetRow], facts: Mapping[str, Any]) -> str:
    """Return the data card in Markdown, with the head that the Hugging Face hub reads."""
    passages = {passage.id: passage for row in rows for passage in row.passages}.values()
    licences = Counter(passage.license or "unknown" for passage in passages)
    dates = sorted(passage.date for passage in passages if passage.date)
    example = rows[0] if rows else None
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(line for split in SPLITS for line in (f"  - split: {split}", f"    path: {split}.parquet")),
        "---",
        f"# {name}",
        "",
        "Research use, not medical advice. Each row is a disease, a drug with a therapeutic edge to it in a knowledge "
        "graph and one without, passages retrieved for the two, and a teacher's explanation of the choice.",
        "",
        "## How it came to be",
        "",
        *(line for key, value in facts.items() for line in _fact(key, value)),
        "",
        "## Licences of the passages",
        "",
        *(f"* {license}: {count:,} passages" for license, count in licences.most_common(_SHOWN)),
        "",
        f"Dates of the passages: {dates[0]} to {dates[-1]}." if dates else "The passages have no dates.",
        "",
    ]
    if example is not None:
        shown = json.dumps(list(example.messages), ensure_ascii=False, indent=1)
        lines += ["## Example", "", "```json", shown.replace("```", "'''"), "```", ""]
    return "\n".join(lines)


def _fact(key: str, value: Any) -> list[str]:
    label = key.replace("_", " ")
    if isinstance(value, Mapping):
        return [f"* {label}:", *(f"    * {str(one).replace('_', ' ')}: {number}" for one, number in value.items())]
    return [f"* {label}: {value}"]


def _write_split(rows: Sequence[DatasetRow], split: str, folder: Path) -> None:
    from datasets import Dataset, Features, List, Value, disable_progress_bars

    disable_progress_bars()
    text = Value("string")
    passage = dict.fromkeys(Passage.__dataclass_fields__, text)
    names = ("disease", "relevant", "irrelevant", "provenance", "disease_name", "relevant_name", "irrelevant_name")
    columns = dict.fromkeys((*names, "rationale"), text)
    kinds = {"relevant_first": Value("bool"), "confidence": Value("float64"), "passages": List(passage)}
    table = Dataset.from_list([row.columns() for row in rows], features=Features({**columns, **kinds}))
    table.to_parquet(folder / f"{split}.parquet")
    with (folder / "messages" / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({"messages": list(row.messages)}, ensure_ascii=False) + "\n")
