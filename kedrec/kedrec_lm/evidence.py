"""What is known of a pair: its names, the passages retrieved for its drugs, and the teacher's rationale."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kedrec.errors import KedrecError, nearest
from kedrec.graph.named_graph import NamedGraph
from kedrec.kedrec_lm.chat_encoding import Shown
from kedrec.kedrec_lm.heuristic_baselines import Control
from kedrec.kedrec_lm.question_batches import Question
from kedrec.kedrec_lm.rationale_teachers import Case, Evidence, ExtractiveTeacher, RecordedTeacher, Teacher
from kedrec.kedrec_lm.robustness_audits import Names
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.retriever import Retrieved, Retriever, open_corpus, query_text
from kedrec.sources.text.dates import check_cut_off, surely_before
from kedrec.sources.text.documents import documents_hash
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import Split
from kedrec.storage.artifact_store import Store
from kedrec.text.comentions import Comentions
from kedrec.text.excerpt import excerpt, name_pattern
from kedrec.text.mentions import find_mentions
from kedrec.text.passage import Passage
from kedrec.text.sentences import sentences

Asked = tuple[Split, str, str]  # of a question of that split: disease and one of its drugs
Gathered = Mapping[Asked, Sequence[Retrieved]]
PassageOrder = Literal["nearest", "question"]

_FINDING = 1  # raise when names are found differently in passages: what stores keep of it is then made anew
_DEEPER = (50, 800)  # of the nearest passages, where the first may not be shown


class Library:
    """Graph, names, texts and teacher of one experiment.

    Args:
        graph: triples, as ``load_graph`` takes them; entity names lie beside them.
        texts: documents, as ``open_corpus`` takes them; ``None`` reads none.
        sources: of which passages are shown.
        encoder: bi-encoder for retrieval.
        chunk_tokens: length of a passage.
        rationales: recorded answers; ``None`` for the extractive teacher.
        naming_drugs: index only passages that name a drug of the graph: no query is about anything else.
        store: keeps graph, passages and index.
        before: day from which on a passage is unknown, ``YYYY-MM-DD``; one without a date is unknown too.

    Raises:
        KedrecError: a file is absent or not of its form, or a source is not among the texts.
    """

    def __init__(
        self,
        graph: str,
        texts: str | None,
        sources: Sequence[str],
        encoder: str,
        chunk_tokens: int,
        rationales: str | None,
        naming_drugs: bool,
        store: Store,
        before: str | None = None,
    ) -> None:
        self.named = NamedGraph.load(graph, store)
        self.teacher: Teacher = ExtractiveTeacher() if rationales is None else RecordedTeacher(rationales)
        self.private = False  # set by data that ask of patients
        self.withheld: dict[str, int] = {}  # split -> questions from which ``gather`` withheld a passage
        self.sources = sources
        # With no passages to show, answers recorded and pairs that need not be named, no text is read.
        reads = texts is not None and (bool(sources) or rationales is None or naming_drugs)
        self.identity = {
            "graph": self.named.graph.source_hash,
            "names": self.named.names_hash,
            "texts": documents_hash(texts) if reads and texts else None,
            "chunk_tokens": chunk_tokens,
        }
        self.retriever: Retriever | None = None
        if reads and texts:
            self.retriever = open_corpus(texts, Encoder(encoder), store, chunk_tokens)
            if before is not None:
                self.identity["before"] = before
                self.retriever = _known_before(self.retriever, before, texts)
            if naming_drugs:
                self.retriever = self._naming_drugs(self.retriever, store)
            for source in sources:
                if source not in self.retriever.sources:
                    known = self.retriever.sources
                    raise KedrecError(
                        f"{texts}: no passage of source {source!r}{nearest(source, known)}; there are {list(known)}; "
                        "name some of these in data.init_args.sources"
                    )

    @property
    def facts(self) -> dict[str, Any]:
        """What the run's card says of the data."""
        graph = self.named.graph
        passages = self.passages
        return {
            **self.identity,
            "triples": len(graph.triples),
            "entities": len(graph.entities),
            "relations": len(graph.relations),
            "duplicates": graph.duplicates,
            "self_loops": graph.self_loops,
            "passages": len(passages),
            "licences": sorted({passage.license for passage in passages if passage.license}),
            "teacher": type(self.teacher).__name__,
            "questions_with_passages_withheld": self.withheld,
        }

    def gather(
        self, pairs: Sequence[Pair], per_drug: int, hidden: Mapping[Split, Collection[str]] | None = None
    ) -> Gathered:
        """Retrieve ``per_drug`` passages of each source for each (disease, drug) of the pairs.

        Args:
            pairs: what is asked.
            per_drug: passages of a source.
            hidden: for a split the ids of passages that its questions must not show; the next nearest take their
                place. How many questions that concerned is then in ``withheld``.
        """
        if self.retriever is None:
            return {}
        asked_of = {one: [(one.split, one.disease, drug) for drug in (one.relevant, one.irrelevant)] for one in pairs}
        keys = sorted({key for both in asked_of.values() for key in both})
        found: dict[Asked, list[Retrieved]] = {key: [] for key in keys}
        affected: set[Asked] = set()
        for source in self.retriever.sources:
            lacking = keys
            for depth in (per_drug, *_DEEPER):
                asked, lacking = lacking, []
                for key, hits in zip(asked, self._nearest(asked, source, depth), strict=True):
                    allowed = [hit for hit in hits if hit.passage.id not in (hidden or {}).get(key[0], ())][:per_drug]
                    if depth != _DEEPER[-1] and len(allowed) < min(per_drug, len(hits)):
                        lacking.append(key)
                    else:
                        found[key] += allowed
                affected.update(lacking)
        self.withheld = dict(Counter(one.split for one, both in asked_of.items() if affected.intersection(both)))
        return found

    def _nearest(self, keys: Sequence[Asked], source: str, depth: int) -> list[list[Retrieved]]:
        if self.retriever is None or not keys:
            return []
        queries = [query_text(self.named.names(disease)[0], self.named.names(drug)[0]) for _, disease, drug in keys]
        return self.retriever.retrieve(queries, source, depth, prefer=[self.named.names(drug) for *_, drug in keys])

    def explain(self, pair: Pair, gathered: Gathered) -> str:
        """Return the teacher's rationale, which may cite any passage gathered for the pair."""
        return self.teacher.explain(self.case(pair, gathered))

    def case(self, pair: Pair, gathered: Gathered) -> Case:
        """Return what a teacher is asked of a pair: with all passages gathered for it, of all sources."""
        ids = (pair.disease, pair.relevant, pair.irrelevant)
        passages = {
            hit.passage.id: hit.passage.text
            for drug in (pair.relevant, pair.irrelevant)
            for hit in gathered.get((pair.split, pair.disease, drug), ())
        }
        evidence = [Evidence(passage, tuple(sentences(text))) for passage, text in passages.items()]
        return Case(*ids, names={i: self.named.names(i) for i in ids}, evidence=evidence, private=self.private)

    def question(
        self, pair: Pair, gathered: Gathered, swapped: bool, controls: Mapping[str, Control] | None = None
    ) -> Question:
        """Return the question in the stored order or the other; passages and reference are filled in later.

        Beside the ``controls`` stands ``nearest_passage``, which is for the drug whose passages, of the experiment's
        sources, are nearer to its query, in sum.
        """
        drugs = self._order(pair, swapped)
        first, second = (round(sum(hit.score for hit in self._hits(pair, gathered, drug)), 5) for drug in drugs)
        ruled = {}
        for name, rule in (controls or {}).items():
            one, other = (rule(pair.disease, drug) for drug in drugs)
            if one is not None and other is not None:
                ruled[name] = (one, other)
        return Question(
            pair="|".join((pair.disease, pair.relevant, pair.irrelevant)),
            disease=self.named.names(pair.disease)[0],
            drugs=(self.named.names(drugs[0])[0], self.named.names(drugs[1])[0]),
            correct=drugs.index(pair.relevant),
            swapped=swapped,
            reference="",
            passages=(),
            controls={"nearest_passage": (first, second), **ruled},
        )

    def names_asked(self, pair: Pair, swapped: bool) -> Names:
        """Return all names of what a question asks of, the drugs in its order."""
        first, second = self._order(pair, swapped)
        return Names(self.named.names(pair.disease), (self.named.names(first), self.named.names(second)))

    def shown(self, pair: Pair, gathered: Gathered, swapped: bool, words: int, order: PassageOrder) -> list[Shown]:
        """Return excerpts, of ``words`` words, of the passages of the experiment's sources, each once.

        Those of one drug stand together. By ``nearest`` the drug whose passages are nearer to its query, in sum, comes
        first, so that what is most to the point is read first; by ``question`` the drug that the question names first,
        so that the order of the passages tells nothing.
        """
        drugs = self._order(pair, swapped)
        wanted = [name_pattern(self.named.names(entity)) for entity in (pair.disease, *drugs)]
        found = {drug: self._hits(pair, gathered, drug) for drug in drugs}
        by_support = sorted(sorted(drugs), key=lambda drug: -sum(hit.score for hit in found[drug]))
        shown: dict[str, Shown] = {}
        for drug in by_support if order == "nearest" else drugs:
            for hit in found[drug]:
                passage = hit.passage
                text = excerpt(passage.text, wanted, words)
                shown.setdefault(passage.id, Shown(passage.id, passage.source, self.named.names(drug)[0], text))
        return list(shown.values())

    def mentioned(self) -> set[str]:
        """Return the drugs and diseases that some passage, of any source, names."""
        return set(self.mentions)

    def mentioned_together(self, drug: str, disease: str) -> bool:
        """Whether some passage, of any source, names both."""
        return bool(self.mentions.get(drug, set()) & self.mentions.get(disease, set()))

    def literature(self, drug: str) -> int:
        """Return how many passages, of any source, name a drug."""
        return len(self.mentions.get(drug, ()))

    @cached_property
    def passages(self) -> list[Passage]:
        """All passages that there are, of any source."""
        if self.retriever is None:
            return []
        return [passage for source in self.retriever.sources for passage in self.retriever.passages(source)]

    @cached_property
    def mentions(self) -> dict[str, set[int]]:
        """For each drug and disease with a name the rows of ``passages`` that name it."""
        wanted = [entity for entity in self.named.infos if entity.startswith(("Compound::", "Disease::"))]
        return find_mentions(self.passages, {entity: self.named.names(entity) for entity in wanted})

    @property
    def comentions(self) -> Comentions:
        """Looks up the passages that name a drug and a disease."""
        return Comentions(self.named, self.passages, self.mentions)

    def _naming_drugs(self, retriever: Retriever, store: Store) -> Retriever:
        def build(folder: Path) -> None:
            drugs = {
                entity: self.named.names(entity)
                for entity in self.named.graph.entities
                if entity.startswith("Compound::")
            }
            passages = [passage for source in retriever.sources for passage in retriever.passages(source)]
            named = set().union(*find_mentions(passages, drugs).values())
            if not named:
                raise KedrecError(
                    "no passage names a drug of the graph; does an entities.tsv with names lie beside the graph?"
                )
            (folder / "ids.json").write_text(json.dumps([passages[row].id for row in sorted(named)]), encoding="utf-8")

        key = {**self.identity, "tokenizer": retriever.encoder.tokenizer_identity, "finding": _FINDING}
        kept = set(json.loads((store.get("naming-drugs", key, build) / "ids.json").read_text(encoding="utf-8")))
        return retriever.restricted(lambda passage: passage.id in kept)

    def _hits(self, pair: Pair, gathered: Gathered, drug: str) -> list[Retrieved]:
        hits = gathered.get((pair.split, pair.disease, drug), ())
        return [hit for hit in hits if hit.passage.source in self.sources]

    @staticmethod
    def _order(pair: Pair, swapped: bool) -> tuple[str, str]:
        first_relevant = pair.relevant_first != swapped
        return (pair.relevant, pair.irrelevant) if first_relevant else (pair.irrelevant, pair.relevant)


def _known_before(retriever: Retriever, before: str, texts: str) -> Retriever:
    check_cut_off(before)
    earlier = retriever.restricted(lambda passage: surely_before(passage.date, before))
    if not earlier.sources:
        raise KedrecError(f"{texts}: no passage has a date before {before}; see data.init_args.before")
    return earlier
