"""Explains by a student why a recommended drug, rather than a similar one, should treat the disease."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from kedrec.commands.recommend.recommendation import Citation, Explanation, ShownPassage, StudentFacts
from kedrec.errors import KedrecError
from kedrec.evaluation.calibration import confidence, margin
from kedrec.evaluation.citation_metrics import checked_citations
from kedrec.graph.named_graph import NamedGraph
from kedrec.kedrec_lm.chat_batching import collate_questions, in_batches
from kedrec.kedrec_lm.chat_encoding import ChatEncoder, Encoded, Shown
from kedrec.kedrec_lm.decoding import choose_and_explain
from kedrec.kedrec_lm.evidence import RetrievedEvidence, retrieve_evidence
from kedrec.kedrec_lm.pair_source import open_texts
from kedrec.kedrec_lm.question_batches import Question, QuestionBatch
from kedrec.kedrec_lm.question_builder import QuestionBuilder
from kedrec.kedrec_lm.question_data import QuestionData
from kedrec.kedrec_lm.question_settings import LoaderSettings, PromptSettings, RetrievalSettings
from kedrec.kedrec_lm.student import Student
from kedrec.retrieval.corpus import Corpus
from kedrec.sources.text.text_source import TextSource, texts_name
from kedrec.sources.weights import base_folder
from kedrec.splits.pairs import Pair
from kedrec.storage.artifact_store import Store
from kedrec.training.experiment_objects import build
from kedrec.training.loaded_run import FinishedRun, load_best
from kedrec.training.saved_results import read_metrics

BUNDLED = "smollm2"


@dataclass(frozen=True)
class Explainer:
    """A student with the texts that it reads; `open_explainer` makes one.

    Attributes:
        student: with its weights.
        corpus: the graph and the passages.
        retrieval: which passages are retrieved.
        prompt: how questions are written.
        batch_size: prompts a batch.
        chat: writes questions for the student's base.
        facts: describe the student.
    """

    student: Student
    corpus: Corpus
    retrieval: RetrievalSettings
    prompt: PromptSettings
    batch_size: int
    chat: ChatEncoder
    facts: StudentFacts

    def explain(self, disease: str, alternatives: Sequence[tuple[str, str]]) -> list[Explanation]:
        """Return an explanation of each (drug, other drug) for a disease.

        Each question has both orders; the rationale is from the order in which the drug comes first.
        """
        pairs = [Pair(disease, drug, other, "test", True, "") for drug, other in alternatives]
        evidence = RetrievedEvidence()
        if self.retrieval.sources:
            evidence = retrieve_evidence(self.corpus, pairs, self.retrieval.passages_per_drug)
        builder = QuestionBuilder(self.corpus.named, evidence, self.retrieval.sources, self.prompt)
        questions = [[self._encoded(pair, builder, swapped) for swapped in (False, True)] for pair in pairs]
        scores, rationales = self._answers([row for orders in questions for row, _ in orders])
        return [
            self._explanation(pair, evidence, orders[0], scores[2 * at : 2 * at + 2], rationales[2 * at])
            for at, (pair, orders) in enumerate(zip(pairs, questions, strict=True))
        ]

    def _explanation(
        self,
        pair: Pair,
        evidence: RetrievedEvidence,
        asked: tuple[Encoded, list[Shown]],
        scores: Sequence[tuple[float, float]],
        rationale: str,
    ) -> Explanation:
        question = asked[0].question
        checked = checked_citations({**vars(question), "rationale": rationale})
        temperature = self.facts.temperature
        return Explanation(
            alternative=pair.irrelevant,
            alternative_name=self.corpus.named.names(pair.irrelevant)[0],
            margin=round(margin(scores), 5),
            prefers_drug=margin(scores) > 0,
            agreed=len({own > other for own, other in scores}) == 1,
            confidence=None if temperature is None else round(confidence(scores, temperature), 5),
            rationale=rationale,
            passages=_passages(evidence, question, asked[1], {one.passage for one in checked if one.passage}),
            citations=tuple(Citation(one.written, one.passage or "", one.supported) for one in checked),
        )

    def _encoded(self, pair: Pair, builder: QuestionBuilder, swapped: bool) -> tuple[Encoded, list[Shown]]:
        shown = builder.shown(pair, swapped)
        return self.chat.encode(builder.question(pair, swapped), shown, ""), shown

    def _answers(self, rows: Sequence[Encoded]) -> tuple[list[tuple[float, float]], list[str]]:
        """Return for each row the log-probabilities of the relevant drug's answer and of the other's, and a rationale.

        The student continues the relevant drug's answer, preferred or not; the rationale is empty in the order in which
        the drug comes second.
        """
        scores: list[tuple[float, float]] = []
        rationales: list[str] = []
        for batch in self._batches(rows):
            device = batch.input_ids.device
            correct = torch.tensor([question.correct for question in batch.questions], device=device)
            first = torch.tensor([not question.swapped for question in batch.questions], device=device)
            limit = self.student.max_new_tokens
            decoded = choose_and_explain(self.student.net, batch, first, limit, self._end, after=correct)
            own = decoded.scores.gather(1, torch.stack([correct, 1 - correct], dim=1))
            scores += [(mine, other) for mine, other in own.tolist()]
            texts = self.student.tokenizer.batch_decode(decoded.continuation, skip_special_tokens=True)
            rationales += [text.strip() for text in texts]
        return scores, rationales

    def _batches(self, rows: Sequence[Encoded]) -> list[QuestionBatch]:
        pad = self.student.tokenizer.pad_token_id
        device = next(self.student.net.parameters()).device
        batches = in_batches(rows, self.batch_size)
        return [collate_questions(some, self._end if pad is None else pad).to(device) for some in batches]

    @property
    def _end(self) -> int:
        return int(self.student.tokenizer.eos_token_id)


def open_explainer(run: FinishedRun | None, graph: str, path: str | None, store: Store) -> Explainer:
    """Load a finished student, or the bundled base without training, and the texts that it reads.

    Args:
        run: of a student; ``None`` for the bundled base.
        graph: as ``load_graph`` takes it.
        path: file or folder of the texts; ``None`` for those of the run.
        store: keeps the base, the passages and the index.

    Raises:
        KedrecError: it is another model's run, or the texts are absent or not of their form.
    """
    settings = _run_settings(run) if run else _BUNDLED_SETTINGS
    student = settings.student or Student(BUNDLED)
    texts = path or settings.texts or None
    if isinstance(texts, str) and not Path(texts).exists():
        raise KedrecError(f"{texts}: no such file or folder; name the student's texts by --texts=PATH")
    retrieval = settings.retrieval if texts else replace(settings.retrieval, sources=[])
    corpus = open_texts(texts, NamedGraph.load(graph, store), retrieval, settings.naming_drugs, store)
    if run is None:
        retrieval = replace(retrieval, sources=corpus.sources)
    student.configure_model()
    if run is not None:
        load_best(run, student)
    student.net.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    facts = StudentFacts(
        path=str(run.path) if run else "",
        base=student.base,
        temperature=_temperature(run) if run else None,
        texts=texts_name(texts) if texts else "",
        sources=tuple(retrieval.sources),
        passages=len(corpus.passages),
    )
    chat = ChatEncoder(base_folder(student.base, store), settings.prompt.max_tokens)
    return Explainer(student, corpus, retrieval, settings.prompt, settings.batch_size, chat, facts)


@dataclass(frozen=True)
class _Settings:
    """The settings of a student's run by which it is prompted.

    Attributes:
        student: without its weights; ``None`` for the bundled base.
        texts: file or folder of the texts that it reads, or a text source, if any.
        retrieval: which passages are retrieved.
        prompt: how questions are written.
        batch_size: prompts a batch.
        naming_drugs: whether only passages that name a drug are indexed.
    """

    student: Student | None
    texts: str | TextSource | None
    retrieval: RetrievalSettings
    prompt: PromptSettings
    batch_size: int
    naming_drugs: bool


# Passages that name a drug suffice, as no query is about anything else.
_BUNDLED_SETTINGS = _Settings(
    None, None, RetrievalSettings(sources=[]), PromptSettings(), LoaderSettings().test_batch_size, naming_drugs=True
)


def _run_settings(run: FinishedRun) -> _Settings:
    built = build(run.experiment)
    if not isinstance(built.model, Student) or not isinstance(built.data, QuestionData):
        names = f"{type(built.model).__name__} on {type(built.data).__name__}"
        raise KedrecError(f"{run.path}: a run of {names}; expected that of a student, such as of both_sources.yaml")
    data, source = built.data, built.data.pair_source
    return _Settings(
        student=built.model,
        texts=source.texts,
        retrieval=source.retrieval,
        prompt=data.prompt,
        batch_size=data.loader.test_batch_size,
        naming_drugs=source.pairs.mentioned,
    )


def _temperature(run: FinishedRun) -> float | None:
    """Return the temperature of the run's last test without overrides; ``None`` where none was fitted.

    Raises:
        KedrecError: its file is damaged.
    """
    newer = run.path / "evaluations" / run.id / "metrics.json"
    advice = "test the run again with kedrec.evaluate"
    metrics = read_metrics(newer, advice) if newer.is_file() else run.metrics
    return metrics.get("test/temperature")


def _passages(
    evidence: RetrievedEvidence, question: Question, shown: Sequence[Shown], cited: Collection[str]
) -> tuple[ShownPassage, ...]:
    known = {hit.passage.id: hit.passage for hits in evidence.hits.values() for hit in hits}
    found = []
    for number, (one, text) in enumerate(zip(shown, question.texts, strict=True), start=1):
        passage = known[one.id]
        about = (passage.title, text, passage.date, passage.license, passage.url)
        found.append(ShownPassage(number, one.id, one.source, one.drug, *about, one.id in cited))
    return tuple(found)
