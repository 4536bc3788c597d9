"""Removes texts that leak a held-out treatment: passages, sentences of rationales, sentences of descriptions.

A text leaks a treatment if it names one end of it and names, or is about, the other end, by any name of the two or of
their synonymous ids. Only training is filtered by name. A validation question trains nothing: it selects the best
checkpoint and calibrates the student's confidence, and for that it must show what a test question would show: passages
on the irrelevant drug, which often name what that drug treats. Where the split is by date, validation too sees no
passage of the test's time.
"""

from collections.abc import Collection, Mapping, Sequence

from kedrec.graph.named_graph import NamedGraph
from kedrec.sources.text.dates import surely_before
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import Split
from kedrec.splits.treatment_split import TreatmentSplit
from kedrec.text.comentions import Comentions
from kedrec.text.mentions import find_mentions
from kedrec.text.passage import Passage
from kedrec.text.sentences import sentences


class LeakageFilter:
    """Filters texts by the treatments that a split holds out for validation and test.

    Args:
        named: the graph with its entities' names; those of fewer than four letters are not searched for.
        split: of the graph's treatments.
    """

    def __init__(self, named: NamedGraph, split: TreatmentSplit) -> None:
        self.named = named
        self.split = split
        self._partners: dict[str, set[str]] = {}
        for drug, disease in split.held_out:
            self._partners.setdefault(drug, set()).add(disease)
            self._partners.setdefault(disease, set()).add(drug)

    def leaking_passages(self, passages: Sequence[Passage], mentions: Mapping[str, set[int]]) -> dict[Split, set[str]]:
        """Return for each split the ids of the passages that its questions and its teacher must not show.

        From training these are the passages that name both ends of a held-out treatment in title or text. Where the
        split is by date, they are also those that are not surely older than its cut, from training and validation.

        Args:
            passages: all of the experiment.
            mentions: entity id to the rows of ``passages`` that name it, as ``find_mentions`` returns it.
        """
        comentions = Comentions(self.named, passages, mentions)
        leaking = {passage.id for edge in self.split.held_out for passage in comentions.passages(*edge)}
        hidden: dict[Split, set[str]] = {"train": leaking}
        for split, day in self.split.cuts.items():
            late = {passage.id for passage in passages if not surely_before(passage.date, day.isoformat())}
            hidden[split] = hidden.get(split, set()) | late
        return hidden

    def clean_rationales(self, rationales: Mapping[Pair, str]) -> tuple[dict[Pair, str], int]:
        """Return the rationales without the leaking sentences of training, and the number of these sentences.

        A sentence is about the entities that it names, and about the drugs and the disease of its question: "it is also
        given in ..." leaks too.

        Args:
            rationales: of all splits; a teacher may have written them from its parametric knowledge.
        """
        parts = {pair: sentences(text) for pair, text in rationales.items() if pair.split == "train"}
        rows = [(pair, sentence) for pair, of_pair in parts.items() for sentence in of_pair]
        subjects = [{pair.disease, pair.relevant, pair.irrelevant} for pair, _ in rows]
        leaking = self._leaking([sentence for _, sentence in rows], subjects)
        clean: dict[Pair, list[str]] = {pair: [] for pair in parts}
        for row, (pair, sentence) in enumerate(rows):
            if row not in leaking:
                clean[pair].append(sentence)
        changed = {pair: " ".join(of_pair) for pair, of_pair in clean.items() if len(of_pair) < len(parts[pair])}
        return {**rationales, **changed}, len(leaking)

    def clean_descriptions(self, descriptions: Sequence[str]) -> list[str]:
        """Return the descriptions of the graph's entities without their leaking sentences.

        A sentence is about the entities that it names, and about the entity that it describes.

        Args:
            descriptions: one per entity of the graph, by row; maybe empty.
        """
        rows = [(row, sentence) for row, text in enumerate(descriptions) if text for sentence in sentences(text)]
        subjects = [{self.named.graph.entities[row]} for row, _ in rows]
        leaking = self._leaking([sentence for _, sentence in rows], subjects)
        clean: dict[int, list[str]] = {rows[at][0]: [] for at in leaking}
        for at, (row, sentence) in enumerate(rows):
            if row in clean and at not in leaking:
                clean[row].append(sentence)
        return [" ".join(clean[row]) if row in clean else text for row, text in enumerate(descriptions)]

    def _leaking(self, texts: Sequence[str], subjects: Sequence[Collection[str]]) -> set[int]:
        """Return the rows of the texts that leak a treatment.

        Args:
            texts: which are searched for names.
            subjects: for each text the ids of the entities that it is about without having to name them.
        """
        names = {
            end: [name for entity in self.named.synonymous_ids(end) for name in self.named.names(entity)]
            for end in self._partners
        }
        named_in: dict[int, set[str]] = {}
        for end, rows in find_mentions([Passage("", "", "", "", text) for text in texts], names).items():
            for row in rows:
                named_in.setdefault(row, set()).add(end)
        leaking = set()
        for row, ends in named_in.items():
            about = ends | {self.named.canonical_id(entity) for entity in subjects[row]}
            if any(self._partners[end] & about for end in ends):
                leaking.add(row)
        return leaking
