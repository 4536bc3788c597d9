"""expRxRec: KEDRec-LM's data set (arXiv 2502.20350, stages 1 to 3), built from graph, texts and teacher."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges
from kedrec.graph.trained_embeddings import Exported
from kedrec.kedrec_lm.chat_encoding import ChatEncoder
from kedrec.kedrec_lm.dataset_files import DatasetRow, write_dataset
from kedrec.kedrec_lm.evidence import Gathered, Library
from kedrec.kedrec_lm.instruction_data import InstructionData
from kedrec.kedrec_lm.rationale_cache import Explained, explain_cases, plan_cases, teacher_name
from kedrec.kedrec_lm.rationale_teachers import ExtractiveTeacher, RecordedTeacher
from kedrec.kedrec_lm.rationale_writing import REJECTED
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings
from kedrec.kedrec_lm.web_texts import WebTexts
from kedrec.llm.endpoint_model import EndpointModel
from kedrec.llm.local_model import LocalModel
from kedrec.runtime.preparation_plan import Stage
from kedrec.sources.graph.named_drkg import Drkg
from kedrec.sources.weights import base_folder
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS
from kedrec.storage.artifact_store import Store

DRKG = "drkg"
_TOKENS_A_WORD = 1.5
_AROUND_A_PASSAGE = 12  # tokens


class ExpRxRec(InstructionData):
    """Pairs of which some passage names disease and relevant drug, each with a rationale that passed the checks.

    Args:
        graph: as in `InstructionData`, or ``drkg``: then DRKG is fetched, with the names of its entities.
        texts: as in `InstructionData`, or ``null``: then the web is asked for trials and articles on each pair.
        teacher: explains each pair; ``null`` takes ``rationales`` where they are given, else the extractive teacher,
            which quotes and needs no model.
        asking: how a model is asked.
        max_cost: bound of what the answers of a model may cost together, US dollars.
        drkg: where DRKG and its names come from.
        web: how texts are fetched; needed where ``texts`` is ``null``.
        **options: as in `InstructionData`; ``mentioned`` is not asked: such are the pairs here.
    """

    writes_dataset = True

    def __init__(
        self,
        graph: str = DRKG,
        texts: str | None = None,
        teacher: EndpointModel | LocalModel | None = None,
        asking: RationaleSettings = RationaleSettings(),  # noqa: B008  (frozen)
        max_cost: float | None = None,
        drkg: Drkg = Drkg(),  # noqa: B008  (frozen)
        web: WebTexts | None = None,
        **options: Any,
    ) -> None:
        # Where texts are fetched for pairs that were drawn, drawing cannot look at texts: pairs are chosen after.
        super().__init__(graph=graph, texts=texts or "", mentioned=texts is not None, **options)
        if texts is None and web is None:
            raise KedrecError("data.init_args.texts: null, and no data.init_args.web that says how to fetch them")
        recorded = RecordedTeacher(self.rationales) if self.rationales else ExtractiveTeacher()
        self.teacher: EndpointModel | LocalModel | RecordedTeacher | ExtractiveTeacher = teacher or recorded
        self.asking = asking
        self.max_cost = max_cost
        self.drkg = drkg
        self.web = web if texts is None else None
        self._rows: list[DatasetRow] = []
        self._explained: Explained | None = None

    def plan(self, store: Store) -> list[Stage]:
        """Return the stages of the preparation; what only fetching could tell is an upper bound, or said to be open."""
        stages: list[Stage] = []
        if self.graph_path == DRKG:
            stages = self.drkg.stages(store)
            if not all(stage.there for stage in stages):
                most = sum((self.limits or {}).values())
                return [*stages, *self._plan_texts(2 * most), self._plan_rationales(most)]
        self._locate_graph(store)
        if self.web is not None:
            library = self._graph_alone(store)
            pairs = super()._pairs(library, None, store)
            return [*stages, *self._plan_texts(len(_names(library, pairs))), self._plan_rationales(len(pairs))]
        library = self._library(store)
        stages.append(Stage("graph", True, note=f"{len(library.named.graph.triples):,} triples"))
        assert library.retriever is not None
        embedded = True
        for source in library.retriever.sources:
            missing = library.retriever.missing_vectors(source)
            embedded &= not missing
            held = f"{len(library.retriever.passages(source)):,} passages"
            stages.append(Stage(f"vectors of {source}", not missing, {"passages to embed": missing}, held))
        pairs = self._pairs(library, None, store)
        stages.append(Stage("pairs", True, note=_told(_by_split(pairs))))
        evidence = self._gather(library, pairs) if embedded else {}
        cases = [library.case(pair, evidence) for pair in pairs]
        wanted = plan_cases(self.teacher, cases, self.asking, store)
        if wanted is None or isinstance(self.teacher, RecordedTeacher | ExtractiveTeacher):
            return [*stages, self._plan_rationales(len(pairs))]
        words = self.asking.passages * (self.asking.words * _TOKENS_A_WORD + _AROUND_A_PASSAGE)
        name = f"rationales of {teacher_name(self.teacher)}"
        return [*stages, wanted.stage(name, self.teacher.prices, unseen=0 if embedded else int(words))]

    def _plan_texts(self, asked: int) -> list[Stage]:
        if self.web is None:
            return []
        requests = {"requests to the web, at least": self.web.requests(asked)}
        return [Stage("texts", False, requests, "the passages to embed are known when they are there")]

    def _plan_rationales(self, pairs: int) -> Stage:
        work: dict[str, float] = {"pairs to explain, at most": pairs}
        if isinstance(self.teacher, EndpointModel | LocalModel):
            work["tokens of answers, at most"] = 2 * pairs * self.asking.max_tokens  # each may be asked a second time
        return Stage(f"rationales of {teacher_name(self.teacher)}", False, work)

    def write_dataset(self, folder: Path, name: str) -> None:
        """Write the pairs, their passages and rationales, and the card, into ``folder``.

        Raises:
            KedrecError: the disk is full or the place cannot be written.
        """
        assert self._explained is not None
        write_dataset(folder, name, self._rows, self.facts, self._explained.folder / REJECTED)

    def _prepare(self, store: Store) -> None:
        if self.web is not None:
            self.web.check()
        self._locate_graph(store)
        if self.web is not None:
            library = self._graph_alone(store)
            pairs = super()._pairs(library, self._exported(), store)
            self.texts = str(self.web.fetch(_names(library, pairs), self.before, store))
        super()._prepare(store)

    def _locate_graph(self, store: Store) -> None:
        if self.graph_path == DRKG:
            folder = self.drkg.prepare(store)
            self.graph_path = str(folder)
            self._facts_of_pairs["drkg"] = self.drkg.facts(folder)

    def _graph_alone(self, store: Store) -> Library:
        """Return a library that reads no text."""
        return Library(self.graph_path, None, [], self.encoder_name, self.chunk_tokens, None, False, store)

    def _pairs(self, library: Library, exported: Exported | None, store: Store) -> list[Pair]:
        pairs = super()._pairs(library, exported, store)
        if self.web is None:
            return pairs
        self._facts_of_pairs["pairs_drawn"] = _by_split(pairs)
        return [pair for pair in pairs if _named(library, pair)]

    def _evidence(self, library: Library, store: Store) -> Gathered:
        """Return the passages of each pair, and leave out the pairs whose rationale does not pass."""
        evidence = super()._evidence(library, store)
        cases = {pair: library.case(pair, evidence) for pair in self.pairs}
        explained = explain_cases(self.teacher, list(cases.values()), self.asking, self.max_cost, store)
        relations = library.named.merged.match_relations(self.relations, THERAPEUTIC)
        edges = stated_edges(library.named.merged, relations)
        self._facts_of_pairs |= {
            "therapeutic_pairs_of_the_graph": len(edges),
            "of_those_a_passage_names_both": sum(library.mentioned_together(*edge) for edge in edges),
            "pairs_asked_about": _by_split(self.pairs),
            "teacher": explained.facts["teacher"],  # whose answers are read from a record now
            "rationales": explained.facts,
        }
        self.pairs = [pair for pair, case in cases.items() if explained.kept(case)]
        kept = self._facts_of_pairs["pairs"] = _by_split(self.pairs)
        if not all(kept.values()):
            why = ", ".join(f"{reason} ({times})" for reason, times in explained.facts["rejected"].items())
            raise KedrecError(
                f"the teacher {explained.facts['teacher']}: of {len(cases)} pairs {_told(kept)} are left; each split "
                f"needs some; rejected: {why or 'none'}, see {explained.folder / REJECTED}; take a stronger teacher or "
                "more pairs"
            )
        library.teacher = explained.teacher
        self._explained = explained
        self._rows = self._dataset_rows(library, evidence, explained, base_folder(self.base, store))
        return evidence

    def _dataset_rows(self, library: Library, evidence: Gathered, explained: Explained, base: str) -> list[DatasetRow]:
        chat = ChatEncoder(base, self.max_tokens)
        said = {(row["disease"], row["relevant"], row["irrelevant"]): row for row in explained.rows()}
        rationales = self._rationales(library, evidence)
        rows = []
        for pair in self.pairs:
            ids = (pair.disease, pair.relevant, pair.irrelevant)
            disease, relevant, irrelevant = (library.named.names(entity)[0] for entity in ids)
            answer, rationale = said[ids], rationales[pair]
            shown = library.shown(pair, evidence, False, self.passage_words, self.passage_order)
            question = library.question(pair, evidence, False)
            messages = chat.conversation(question, shown, rationale)
            hits = [hit for drug in ids[1:] for hit in evidence.get((pair.split, pair.disease, drug), ())]
            passages = list({hit.passage.id: hit.passage for hit in hits}.values())
            names = (disease, relevant, irrelevant)
            rows.append(DatasetRow(pair, names, rationale, answer["confidence"], passages, messages))
        return rows


def _named(library: Library, pair: Pair) -> bool:
    """Whether some passage names disease and relevant drug, and some the other drug: none is known by its silence."""
    return library.mentioned_together(pair.relevant, pair.disease) and library.literature(pair.irrelevant) > 0


def _names(library: Library, pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Return the names of each disease with each of its drugs, once."""
    asked = {(pair.disease, drug) for pair in pairs for drug in (pair.relevant, pair.irrelevant)}
    return sorted({(library.named.names(disease)[0], library.named.names(drug)[0]) for disease, drug in asked})


def _by_split(pairs: Sequence[Pair]) -> dict[str, int]:
    counts = Counter(pair.split for pair in pairs)
    return {split: counts[split] for split in SPLITS}


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {split}" for split, number in counts.items())
