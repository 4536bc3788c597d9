"""expRxRec: KEDRec-LM's data set (arXiv 2502.20350, stages 1 to 3), built from graph, texts and teacher."""

from dataclasses import dataclass, field
from pathlib import Path

from kedrec.kedrec_lm.chat_encoding import ChatEncoder
from kedrec.kedrec_lm.dataset_files import DatasetRow, write_dataset
from kedrec.kedrec_lm.evidence import RetrievedEvidence
from kedrec.kedrec_lm.literature_pairs import DRKG, DownloadSettings, LiteraturePairs
from kedrec.kedrec_lm.model_teacher import ModelTeacher
from kedrec.kedrec_lm.pair_source import PairSet
from kedrec.kedrec_lm.question_builder import QuestionBuilder
from kedrec.kedrec_lm.question_data import AnsweredPairs, QuestionData, question_builder
from kedrec.kedrec_lm.question_settings import (
    EvaluationSettings,
    LoaderSettings,
    PairSettings,
    PromptSettings,
    RetrievalSettings,
    SplitSettings,
)
from kedrec.kedrec_lm.rationale_cache import plan_cases
from kedrec.kedrec_lm.rationale_source import CheckedRationales, count_by_split, split_counts
from kedrec.kedrec_lm.rationale_teachers import ExtractiveTeacher, RecordedTeacher, Teacher
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings
from kedrec.llm.endpoint_model import EndpointModel
from kedrec.llm.local_model import LocalModel
from kedrec.runtime.preparation_plan import Stage
from kedrec.sources.text.text_source import TextSource
from kedrec.sources.weights import base_folder
from kedrec.splits.pairs import Pair
from kedrec.storage.artifact_store import Store

_TOKENS_A_WORD = 1.5
_AROUND_A_PASSAGE = 12  # tokens


@dataclass(frozen=True)
class TeacherSettings:
    """Who writes the rationales.

    Attributes:
        teacher: a language model, or a teacher of your own; ``null`` takes ``file`` where it is given, else the
            extractive teacher, which quotes and needs no model.
        file: JSONL of recorded rationales.
        settings: how a language model is prompted.
        max_cost: upper bound of the cost of all answers of a language model, US dollars.
    """

    teacher: EndpointModel | LocalModel | Teacher | None = None
    file: str | None = None
    settings: RationaleSettings = field(default_factory=RationaleSettings)
    max_cost: float | None = None

    def open(self) -> Teacher:
        """Return the teacher."""
        if isinstance(self.teacher, Teacher):
            return self.teacher
        if self.teacher is not None:
            return ModelTeacher(self.teacher, self.settings, self.max_cost)
        return RecordedTeacher(self.file) if self.file else ExtractiveTeacher()


class ExpRxRec(QuestionData):
    """Pairs of which some passage names disease and relevant drug, each with a rationale that passed the checks.

    Args:
        base: the student's base, whose tokenizer and chat template are used.
        retrieval: which passages are retrieved.
        graph: triples TSV or a folder that holds one, or ``drkg``: then DRKG and its names are fetched.
        texts: passages JSONL, a folder of texts, or a text source; ``null`` fetches trials and articles on each pair.
        download: where graph and texts are fetched.
        pairs: which pairs the questions are about; ``mentioned`` has no effect, as all pairs are mentioned.
        split: which treatments are held out.
        prompt: how questions and passages are written.
        rationales: who writes the rationales.
        evaluation: what the test measures beside choices and rationales.
        loader: what a batch holds.
        seed: of pairs, order and batches.
    """

    writes_dataset = True

    def __init__(
        self,
        base: str,
        retrieval: RetrievalSettings,
        graph: str = DRKG,
        texts: str | TextSource | None = None,
        download: DownloadSettings = DownloadSettings(),  # noqa: B008  (frozen)
        pairs: PairSettings = PairSettings(),  # noqa: B008
        split: SplitSettings = SplitSettings(),  # noqa: B008
        prompt: PromptSettings = PromptSettings(),  # noqa: B008
        rationales: TeacherSettings = TeacherSettings(),
        evaluation: EvaluationSettings = EvaluationSettings(),  # noqa: B008
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008
        seed: int = 0,
    ) -> None:
        self.literature = LiteraturePairs(graph, texts, pairs, split, retrieval, seed, download)
        self.teacher = rationales.open()
        self.passage_tokens = _passage_tokens(rationales.settings)
        super().__init__(base, self.literature, CheckedRationales(self.teacher), prompt, evaluation, loader, seed)

    def plan(self, store: Store) -> list[Stage]:
        """Return the stages of the preparation; what only fetching shows is an upper bound, or marked as unknown."""
        literature = self.literature
        stages = literature.plan_graph(store)
        if not all(stage.there for stage in stages):
            most = sum((literature.pairs.limits or {}).values())
            return [*stages, *literature.plan_texts(2 * most), self.teacher.plan_at_most(most)]
        if literature.web is not None:
            pairs, queries = literature.plan_queries(store)
            return [*stages, *literature.plan_texts(queries), self.teacher.plan_at_most(len(pairs))]
        source = literature.load(store)
        vectors = _vector_stages(source)
        embedded = all(stage.there for stage in vectors)
        stages += [Stage("graph", True, note=f"{len(source.named.graph.triples):,} triples"), *vectors]
        stages.append(Stage("pairs", True, note=split_counts(count_by_split(source.pairs))))
        builder = question_builder(literature, source, self.prompt) if embedded else self._without_passages(source)
        cases = [builder.case(pair) for pair in source.pairs]
        return [*stages, plan_cases(self.teacher, cases, store, unseen=0 if embedded else self.passage_tokens)]

    def write_dataset(self, folder: Path, name: str) -> None:
        """Write the pairs, their passages and rationales, and the card, into ``folder``.

        Raises:
            KedrecError: the disk is full or the folder cannot be written.
        """
        assert self.answered is not None
        chat = ChatEncoder(base_folder(self.base, Store()), self.prompt.max_tokens)
        rows = [_dataset_row(self.answered, pair, chat) for pair in self.answered.pairs]
        write_dataset(folder, name, rows, self.facts, self.answered.rationales.rejected)

    def _without_passages(self, source: PairSet) -> QuestionBuilder:
        return QuestionBuilder(source.named, RetrievedEvidence(), (), self.prompt)


def _passage_tokens(settings: RationaleSettings) -> int:
    """Return how many tokens the passages of a prompt take, about."""
    return int(settings.passages * (settings.words * _TOKENS_A_WORD + _AROUND_A_PASSAGE))


def _vector_stages(source: PairSet) -> list[Stage]:
    """Return the stage of embedding the passages of each source."""
    retriever = source.corpus.retriever
    assert retriever is not None
    stages = []
    for name in retriever.sources:
        missing = retriever.missing_vectors(name)
        note = f"{len(retriever.passages(name)):,} passages"
        stages.append(Stage(f"vectors of {name}", not missing, {"passages to embed": missing}, note))
    return stages


def _dataset_row(answered: AnsweredPairs, pair: Pair, chat: ChatEncoder) -> DatasetRow:
    builder, rationale = answered.builder, answered.texts[pair]
    disease, relevant, irrelevant = (
        builder.named.names(entity)[0] for entity in (pair.disease, pair.relevant, pair.irrelevant)
    )
    messages = chat.conversation(builder.question(pair, False), builder.shown(pair, False), rationale)
    hits = [hit for drug in (pair.relevant, pair.irrelevant) for hit in builder.evidence.of(pair, drug)]
    passages = list({hit.passage.id: hit.passage for hit in hits}.values())
    confidence = answered.rationales.confidences[pair]
    return DatasetRow(pair, (disease, relevant, irrelevant), rationale, confidence, passages, messages)
