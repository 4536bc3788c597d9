"""Questions on drug choice, with retrieved passages and a teacher's rationales, as Lightning batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.chat_batching import LengthGroupedBatches, collate_chats, collate_questions, in_batches
from kedrec.kedrec_lm.chat_encoding import ChatEncoder, Encoded
from kedrec.kedrec_lm.evidence import retrieve_evidence
from kedrec.kedrec_lm.heuristic_baselines import HeuristicBaseline, embeddings_baseline, heuristic_baselines
from kedrec.kedrec_lm.indications import contested_facts
from kedrec.kedrec_lm.pair_source import PairSet, PairSource
from kedrec.kedrec_lm.question_builder import QuestionBuilder
from kedrec.kedrec_lm.question_encoding import EncodedQuestions, encode_questions
from kedrec.kedrec_lm.question_settings import EvaluationSettings, LoaderSettings, PromptSettings
from kedrec.kedrec_lm.rationale_source import Rationales, RationaleSource
from kedrec.kedrec_lm.teacher_distributions import with_expectations
from kedrec.runtime.batch_shares import place_among_processes, taking_turns
from kedrec.sources.weights import base_folder
from kedrec.splits.leakage_filter import LeakageFilter
from kedrec.splits.pairs import Pair
from kedrec.splits.split_consistency import by_canonical_ids, check_embeddings, check_pairs
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import key_hash
from kedrec.training.base_classes import ExperimentData


@dataclass(frozen=True)
class AnsweredPairs:
    """Pairs that have a rationale, without what leaks the held-out treatments.

    Attributes:
        source: where they come from.
        pairs: those with a rationale.
        builder: writes their questions.
        texts: pair -> its rationale, without leaking sentences.
        rationales: as the teacher wrote them.
        leaking_sentences: number of sentences that were cut from training rationales.
    """

    source: PairSet
    pairs: list[Pair]
    builder: QuestionBuilder
    texts: dict[Pair, str]
    rationales: Rationales
    leaking_sentences: int


class QuestionData(ExperimentData):
    """From pairs and rationales to conversations: passages, counterfactual questions, tokens, batches.

    Args:
        base: the student's base, whose tokenizer and chat template are used.
        pair_source: gives the pairs with their graph and passages.
        rationale_source: gives the rationales.
        prompt: how questions are written.
        evaluation: which counterfactual questions the test has.
        loader: what a batch holds.
        seed: of the order of the batches.
    """

    many_processes = True

    def __init__(
        self,
        base: str,
        pair_source: PairSource,
        rationale_source: RationaleSource,
        prompt: PromptSettings,
        evaluation: EvaluationSettings,
        loader: LoaderSettings,
        seed: int,
    ) -> None:
        super().__init__()
        self.base = base
        self.pair_source = pair_source
        self.rationale_source = rationale_source
        self.prompt = prompt
        self.evaluation = evaluation
        self.loader = loader
        self.seed = seed
        self.citation_encoder = pair_source.retrieval.encoder
        self.entailment = evaluation.entailment
        self.pairs: list[Pair] = []
        self.answered: AnsweredPairs | None = None
        self.encoded: dict[str, list[Encoded]] = {}
        self._audited: list[Encoded] = []
        self._pad = 0
        self._train_loader: StatefulDataLoader[Any] | None = None
        self._position: dict[str, Any] = {}

    def prepare_data(self) -> None:
        """Build what the store lacks (base, graph, passages, index), in one process."""
        self._prepare(Store())

    def setup(self, stage: str) -> None:
        """Read, retrieve and tokenize, once."""
        if not self.encoded:
            self._prepare(Store())

    def train_dataloader(self) -> Any:
        """Return length-grouped batches whose position is kept in a checkpoint."""
        rows = self.encoded["train"]
        lengths = [len(row.prompt) + len(row.answer) for row in rows]
        together = 2 if self.loader.both_orders else 1
        batches = LengthGroupedBatches(
            lengths, self.loader.batch_size, self.seed, together, *place_among_processes(self.trainer)
        )
        loader = StatefulDataLoader(rows, batch_sampler=batches, collate_fn=partial(collate_chats, pad=self._pad))
        if self._position:
            loader.load_state_dict(self._position)
            self._position = {}
        self._train_loader = loader
        return loader

    # Lightning keeps a loader's position too, but restores it only in a loader that is made after the optimizer, and
    # the schedule of the learning rate needs the loader's length before.
    def state_dict(self) -> dict[str, Any]:
        """Return the position in the training data."""
        return {} if self._train_loader is None else {"train": self._train_loader.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at a position in the training data."""
        self._position = state_dict.get("train", {})

    def val_dataloader(self) -> Any:
        """Return the validation conversations in their stored order."""
        batches = in_batches(self.encoded["validation"], self.loader.batch_size)
        return self._shared_out(batches, lambda share: collate_chats(share[0], self._pad, counted=share[1]))

    def test_dataloader(self) -> Any:
        """Return each test question in both orders, its counterfactual forms, and validation questions for calibration.

        The first orders, which are explained, come first, then the others, then each audit, apart from each other; the
        longest of each come first.
        """
        parts: dict[tuple[str, bool], list[Encoded]] = {}
        for row in [*self.encoded["test"], *self._audited]:
            audit = row.question.audit
            parts.setdefault((audit, row.question.swapped and not audit), []).append(row)
        batches = [
            batch
            for _, part in sorted(parts.items())
            for batch in in_batches(sorted(part, key=_longest_first), self.loader.test_batch_size)
        ]
        return self._shared_out(batches, lambda share: collate_questions(share[0], self._pad))

    def test_identity(self) -> str:
        """Return a hash of all test questions: runs with the same hash are tested on the same questions."""
        questions = [*self.encoded["test"], *self._audited]
        rows = [(row.prompt, row.choices, vars(row.question)) for row in questions]
        return key_hash({"test": rows})

    def _shared_out(self, batches: Sequence[Any], collate: Callable[[Any], Any]) -> "DataLoader[Any]":
        shares = taking_turns(batches, *place_among_processes(self.trainer))
        return DataLoader(shares, batch_size=None, collate_fn=collate)  # type: ignore[arg-type]

    def _prepare(self, store: Store) -> None:
        answered = answer_pairs(self.pair_source, self.rationale_source, self.prompt, store)
        base = base_folder(self.base, store)
        questions = self._encode(answered, base)
        if self.loader.distill is not None:
            train = with_expectations(questions.by_split["train"], self.loader.distill, base, store)
            questions.by_split["train"] = train
        self.answered, self.pairs, self.manifest = answered, answered.pairs, answered.source.split
        self.encoded, self._audited = questions.by_split, questions.audited
        self.facts = self._facts(answered)

    def _encode(self, answered: AnsweredPairs, base: str) -> EncodedQuestions:
        chat = ChatEncoder(base, self.prompt.max_tokens)
        pad = chat.tokenizer.pad_token_id
        self._pad = chat.tokenizer.eos_token_id if pad is None else pad
        questions = encode_questions(
            answered.pairs,
            answered.builder,
            answered.texts,
            self._baselines(answered),
            chat,
            self.evaluation.audits,
            both_orders=self.loader.both_orders,
        )
        for split, rows in questions.by_split.items():
            if not rows:
                raise KedrecError(f"{answered.source.origin}: no pair in the {split} split; see data.init_args")
        return questions

    def _baselines(self, answered: AnsweredPairs) -> dict[str, HeuristicBaseline]:
        source, relations = answered.source, self.pair_source.pairs.relations
        count = source.corpus.literature_count
        baselines = heuristic_baselines(source.named.merged, relations, answered.pairs, count)
        if source.embeddings is not None:
            named = source.named
            baselines["embeddings"] = embeddings_baseline(
                source.embeddings, named.graph, relations, named.canonical_rows
            )
        return baselines

    def _facts(self, answered: AnsweredPairs) -> dict[str, Any]:
        source, settings = answered.source, self.pair_source
        facts = {
            **corpus_facts(source),
            "questions_with_passages_withheld": dict(answered.builder.evidence.filtered),
            **source.facts,
            **answered.rationales.facts,
            "sentences_withheld_from_rationales": answered.leaking_sentences,
            "split": source.split.facts,
        }
        if source.embeddings is not None:
            seen = check_embeddings(source.embeddings, source.named, source.split, settings.split.file)
            facts["embeddings_were_trained_on"] = seen
        if settings.pairs.indications is not None:
            facts |= contested_facts(answered.pairs, settings.pairs.indications)
        return {**facts, "questions": {split: len(rows) for split, rows in self.encoded.items()}}


def answer_pairs(
    pair_source: PairSource, rationale_source: RationaleSource, prompt: PromptSettings, store: Store
) -> AnsweredPairs:
    """Return pairs with their passages and rationales, without what leaks the held-out treatments of their split.

    Args:
        pair_source: gives the pairs.
        rationale_source: gives the rationales; pairs without one are left out.
        prompt: how questions are written.
        store: keeps graph, passages, pairs and rationales.

    Raises:
        KedrecError: a file is absent or not of its form, the pairs contradict the split, or a teacher fails.
    """
    source = pair_source.load(store)
    builder = question_builder(pair_source, source, prompt)
    cases = {pair: builder.case(pair) for pair in source.pairs}
    rationales = rationale_source.rationales(cases, store)
    texts, leaking_sentences = LeakageFilter(source.named, source.split).clean_rationales(rationales.texts)
    pairs = [pair for pair in source.pairs if pair in texts]
    return AnsweredPairs(source, pairs, builder, texts, rationales, leaking_sentences)


def question_builder(pair_source: PairSource, source: PairSet, prompt: PromptSettings) -> QuestionBuilder:
    """Return the builder of the questions about some pairs, with the passages that do not leak.

    Raises:
        KedrecError: a pair contradicts the split.
    """
    named, corpus, split = source.named, source.corpus, source.split
    check_pairs(by_canonical_ids(source.pairs, named.canonical_id), split, source.origin)
    retrieval = pair_source.retrieval
    leaking = LeakageFilter(named, split).leaking_passages(corpus.passages, corpus.mentions)
    evidence = retrieve_evidence(corpus, source.pairs, retrieval.passages_per_drug, leaking)
    return QuestionBuilder(named, evidence, retrieval.sources, prompt, pair_source.private)


def corpus_facts(source: PairSet) -> dict[str, Any]:
    """Return what the run's card reports of graph and passages."""
    graph, passages = source.named.graph, source.corpus.passages
    return {
        **source.corpus.identity,
        "triples": len(graph.triples),
        "entities": len(graph.entities),
        "relations": len(graph.relations),
        "duplicates": graph.duplicates,
        "self_loops": graph.self_loops,
        "passages": len(passages),
        "licences": sorted({passage.license for passage in passages if passage.license}),
    }


def _longest_first(row: Encoded) -> tuple[int, str, bool, str]:
    question = row.question
    return -len(row.prompt), question.pair, question.swapped, question.audit
