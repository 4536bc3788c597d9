"""Questions on drug choice, with retrieved passages and a teacher's rationales, as Lightning batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from kedrec.errors import KedrecError
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.graph.trained_embeddings import Exported
from kedrec.kedrec_lm.chat_batching import LengthGroupedBatches, collate_chats, collate_questions, in_batches
from kedrec.kedrec_lm.chat_encoding import ChatEncoder, Encoded
from kedrec.kedrec_lm.evidence import Gathered, Library, PassageOrder
from kedrec.kedrec_lm.heuristic_baselines import Control, blind_controls, embeddings_control
from kedrec.kedrec_lm.indications import contested, load_indications
from kedrec.kedrec_lm.pair_sampling import Negatives
from kedrec.kedrec_lm.pair_source import Drawing
from kedrec.kedrec_lm.robustness_audits import AUDITS, Audit, asked_again, flagged
from kedrec.kedrec_lm.teacher_distributions import with_expectations
from kedrec.kedrec_lm.token_teacher import Distillation
from kedrec.runtime.batch_shares import place_among_processes, taking_turns
from kedrec.sources.weights import base_folder
from kedrec.splits.leakage_filter import LeakageFilter
from kedrec.splits.pairs import Pair, load_pairs
from kedrec.splits.seeded_split import SPLITS
from kedrec.splits.split_consistency import by_canonical_ids, check_embeddings, check_pairs
from kedrec.splits.split_creation import SplitBy, given_split, split_from_pairs
from kedrec.splits.treatment_split import TreatmentSplit
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import key_hash
from kedrec.training.base_classes import ExperimentData

_NEAREST = (0, 10)  # ranks
_SHOWN = 20  # contested negatives that the card names


class InstructionData(ExperimentData):
    """From a graph and texts to conversations: pairs, passages, rationales, tokens.

    Args:
        base: the student's base, whose tokenizer and chat template are used.
        graph: triples TSV (plain, gz, zst) or a folder that holds one; entity names lie beside it.
        texts: passages JSONL or a folder of texts.
        sources: which texts a prompt shows, of those in ``texts``; ``[]`` is the vanilla setting.
        pairs: Parquet of pairs; ``null`` samples them from the graph.
        rationales: JSONL of recorded rationales; ``null`` lets the extractive teacher write them.
        relations: therapeutic relations, whole or by their first two parts.
        negatives: where a sampled pair's irrelevant drug comes from: ``random`` is any drug, ``similar`` one that is
            like the relevant drug, ``popular`` one that treats about as many diseases.
        embeddings: the folder of a KGE's or GNN's run: it says which drugs are similar, in place of the neighbours that
            they share, and its choice between the two drugs becomes a control.
        hardness: unless ``balanced``, the ranks by likeness that are drawn from: the first, and the first beyond.
        indications: TSV of (drug, disease) of another source; irrelevant drugs that it calls relevant are counted.
        hierarchy: TSV of (child, parent) diseases: no sampled irrelevant drug treats a parent or a child.
        balanced: draw no drug more often than it is relevant in its split, so that its name alone tells nothing.
        split_by: what the test has unseen: a ``pair``, ``disease`` or ``drug``; or ``date``, when a text first named
            both: training and its teacher then read nothing of validation's time or later.
        split: a ``split.tsv`` that a run has written: what it keeps for validation and test is kept from this training
            too, in place of ``split_by``, ``validation`` and ``test``.
        validation: share of what is split.
        test: share of what is split.
        limits: most pairs a split, as ``{train: 1000, ...}``.
        mentioned: sample only pairs of which some passage names both disease and relevant drug, and index only
            passages that name a drug of the graph.
        passages_per_drug: passages of each source for each of the two drugs.
        passage_words: of each passage the sentences that name disease or drug are shown, to about this many words.
        passage_order: which drug's passages come first: of the ``nearest``, in sum, to their queries, which tells a
            student much of the answer before it reads, or of the drug that the ``question`` names first.
        before: passages that are not surely older than this day, ``YYYY-MM-DD``, are left out: no later evidence.
        encoder: ``minilm`` (bundled), a folder, or a hub name of a bi-encoder.
        chunk_tokens: passages are cut to about this many tokens at sentence ends.
        max_tokens: prompt and answer together.
        audits: how test questions are asked again, to see what the choice rests on: without the passages that state the
            answer, with none, with the two drugs' passages exchanged, with drugs' names hidden
            (`kedrec.kedrec_lm.robustness_audits`).
        entailment: folder or hub name of an NLI model that also judges, in the test, whether passages entail what cites
            them; ``null`` leaves it to words and to the encoder.
        both_orders: train on both orders of the two drugs, side by side in a batch.
        distill: the teacher whose token distributions are computed in advance and kept, ``${model.init_args.distill}``;
            ``null`` lets the student ask it, if at all, as it trains.
        batch_size: conversations a training batch.
        test_batch_size: prompts a test batch.
        seed: of pairs, order and batches.
    """

    many_processes = True

    def __init__(
        self,
        base: str,
        graph: str,
        texts: str,
        sources: list[str],
        pairs: str | None = None,
        rationales: str | None = None,
        relations: list[str] = list(THERAPEUTIC),  # noqa: B006  (a schema's default, never changed)
        negatives: Negatives = "similar",
        embeddings: str | None = None,
        hardness: tuple[int, int] = _NEAREST,
        indications: str | None = None,
        hierarchy: str | None = None,
        balanced: bool = True,
        split_by: SplitBy = "disease",
        split: str | None = None,
        validation: float = 0.05,
        test: float = 0.1,
        limits: dict[str, int] | None = None,
        mentioned: bool = False,
        passages_per_drug: int = 1,
        passage_words: int = 32,
        passage_order: PassageOrder = "nearest",
        before: str | None = None,
        encoder: str = "minilm",
        chunk_tokens: int = 200,
        max_tokens: int = 768,
        audits: list[Audit] = list(AUDITS),  # noqa: B006
        entailment: str | None = None,
        both_orders: bool = True,
        distill: Distillation | None = None,
        batch_size: int = 4,
        test_batch_size: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= hardness[0] < hardness[1]:
            raise KedrecError(f"data.init_args.hardness: {list(hardness)}; expected two ranks, such as [0, 10]")
        if balanced and hardness != _NEAREST:
            raise KedrecError("data.init_args.hardness: a balanced deal draws from no ranks; set balanced=false too")
        self.base = base
        self.graph_path = graph
        self.texts = texts
        self.sources = sources
        self.pairs_path = pairs
        self.rationales = rationales
        self.relations = relations
        self.negatives: Negatives = negatives
        self.embeddings = embeddings
        self.hardness = hardness
        self.indications = indications
        self.hierarchy = hierarchy
        self.balanced = balanced
        self.split_by: SplitBy = split_by
        self.split = split
        self.fractions = (validation, test)
        self.limits = limits
        self.mentioned = mentioned
        self.passages_per_drug = passages_per_drug
        self.passage_words = passage_words
        self.passage_order = passage_order
        self.before = before
        self.encoder_name = self.citation_encoder = encoder
        self.chunk_tokens = chunk_tokens
        self.max_tokens = max_tokens
        self.audits = audits
        self.entailment = entailment
        self.both_orders = both_orders
        self.distill = distill
        self.batch_size = batch_size
        self.test_batch_size = test_batch_size
        self.seed = seed
        self.manifest: TreatmentSplit | None = None
        self.pairs: list[Pair] = []
        self.encoded: dict[str, list[Encoded]] = {}
        self._asked_again: list[Encoded] = []
        self.facts: dict[str, Any] = {}
        self._facts_of_pairs: dict[str, Any] = {}
        self._pad = 0
        self._loader: StatefulDataLoader[Any] | None = None
        self._place: dict[str, Any] = {}

    def prepare_data(self) -> None:
        """Build what the store lacks (base, graph, passages, index), in one process."""
        self._prepare(Store())

    def setup(self, stage: str) -> None:
        """Read, retrieve and tokenize, once."""
        if not self.encoded:
            self._prepare(Store())

    def train_dataloader(self) -> Any:
        """Return length-grouped batches whose place is kept in a checkpoint."""
        rows = self.encoded["train"]
        lengths = [len(row.prompt) + len(row.answer) for row in rows]
        together = 2 if self.both_orders else 1
        batches = LengthGroupedBatches(
            lengths, self.batch_size, self.seed, together, *place_among_processes(self.trainer)
        )
        self._loader = StatefulDataLoader(rows, batch_sampler=batches, collate_fn=partial(collate_chats, pad=self._pad))
        if self._place:
            self._loader.load_state_dict(self._place)
            self._place = {}
        return self._loader

    # Lightning keeps a loader's place too, but gives it back only to a loader that is made after the optimizer, and
    # the schedule of the learning rate needs the loader's length before.
    def state_dict(self) -> dict[str, Any]:
        """Return the place in the training data."""
        return {} if self._loader is None else {"train": self._loader.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at the place in the training data."""
        self._place = state_dict.get("train", {})

    def val_dataloader(self) -> Any:
        """Return the validation conversations in their stored order."""
        batches = in_batches(self.encoded["validation"], self.batch_size)
        return self._shared_out(batches, lambda share: collate_chats(share[0], self._pad, counted=share[1]))

    def test_dataloader(self) -> Any:
        """Return each test pair in both orders, and what is asked again of it; validation pairs for calibration.

        The first orders, which are explained, come first, then the others, then each audit, apart from each other; of
        each the longest come first.
        """
        parts: dict[tuple[str, bool], list[Encoded]] = {}
        for row in [*self.encoded["test"], *self._asked_again]:
            audit = row.question.audit
            parts.setdefault((audit, row.question.swapped and not audit), []).append(row)
        batches = [
            batch
            for _, part in sorted(parts.items())
            for batch in in_batches(sorted(part, key=_longest_first), self.test_batch_size)
        ]
        return self._shared_out(batches, lambda share: collate_questions(share[0], self._pad))

    def test_identity(self) -> str:
        """Return a hash of everything that the test asks: two runs with the same one are asked the same."""
        asked = [*self.encoded["test"], *self._asked_again]
        rows = [(row.prompt, row.choices, vars(row.question)) for row in asked]
        return key_hash({"test": rows})

    def _shared_out(self, batches: Sequence[Any], collate: Callable[[Any], Any]) -> "DataLoader[Any]":
        shares = taking_turns(batches, *place_among_processes(self.trainer))
        return DataLoader(shares, batch_size=None, collate_fn=collate)  # type: ignore[arg-type]

    def _prepare(self, store: Store) -> None:
        library = self._library(store)
        exported = self._exported()
        self.pairs = self._pairs(library, exported, store)
        evidence = self._evidence(library, store)
        controls = blind_controls(library.named.merged, self.relations, self.pairs, library.literature)
        if exported is not None:
            controls["embeddings"] = embeddings_control(
                exported, library.named.graph, self.relations, library.named.canonical_rows
            )
        self._encode(library, evidence, controls, store)
        self.facts = {
            **library.facts,
            **self._facts_of_pairs,
            **self._obedience(library, exported),
            **self._contested(),
            "questions": {split: len(rows) for split, rows in self.encoded.items()},
        }

    def _library(self, store: Store) -> Library:
        return Library(
            self.graph_path,
            self.texts,
            self.sources,
            self.encoder_name,
            self.chunk_tokens,
            self.rationales,
            self.mentioned,
            store,
            self.before,
        )

    def _exported(self) -> Exported | None:
        return None if self.embeddings is None else Exported.load(self.embeddings)

    def _evidence(self, library: Library, store: Store) -> Gathered:
        """Return the passages of each pair."""
        return self._gather(library, self.pairs)

    def _gather(self, library: Library, pairs: Sequence[Pair]) -> Gathered:
        """Return the passages of each pair, for training without those that tell of what is held out."""
        asked = by_canonical_ids(pairs, library.named.canonical_id)
        if self.manifest is None:
            given = given_split(self.split, library.named, self.relations)
            self.manifest = given or split_from_pairs(library.named, self.relations, asked)
        check_pairs(asked, self.manifest, self.pairs_path or self.graph_path)
        leakage_filter = LeakageFilter(library.named, self.manifest)
        hidden = leakage_filter.leaking_passages(library.passages, library.mentions)
        return library.gather(pairs, self.passages_per_drug, hidden)

    def _rationales(self, library: Library, evidence: Gathered) -> dict[Pair, str]:
        """Return the teacher's rationale of each pair, for training without sentences that tell of what is held out."""
        assert self.manifest is not None
        told = {pair: library.explain(pair, evidence) for pair in self.pairs}
        told, removed = LeakageFilter(library.named, self.manifest).clean_rationales(told)
        self._facts_of_pairs["sentences_withheld_from_rationales"] = removed
        return told

    def _obedience(self, library: Library, exported: Exported | None) -> dict[str, Any]:
        """Return what the split is, and how far the embeddings obey it."""
        assert self.manifest is not None
        told: dict[str, Any] = {"split": self.manifest.facts}
        if exported is not None:
            seen = check_embeddings(exported, library.named, self.manifest, self.split)
            told["embeddings_were_trained_on"] = seen
        return told

    def _encode(self, library: Library, evidence: Gathered, controls: Mapping[str, Control], store: Store) -> None:
        """Tokenize all questions."""
        base = base_folder(self.base, store)
        chat = ChatEncoder(base, self.max_tokens)
        pad = chat.tokenizer.pad_token_id
        self._pad = chat.tokenizer.eos_token_id if pad is None else pad
        self.encoded = {split: [] for split in SPLITS}
        self._asked_again = []
        rationales = self._rationales(library, evidence)
        for pair in self.pairs:
            rationale = rationales[pair]
            for swapped in (False, True):
                shown = library.shown(pair, evidence, swapped, self.passage_words, self.passage_order)
                question = library.question(pair, evidence, swapped, controls)
                if pair.split == "test":
                    names = library.names_asked(pair, swapped)
                    question = replace(question, telling=tuple(flagged(question, shown, names)))
                    for audit in self.audits:
                        if asked := asked_again(audit, question, shown, names):
                            self._asked_again.append(chat.encode(*asked, rationale))
                elif pair.split == "validation":
                    calibrating = replace(question, audit="validation")
                    self._asked_again.append(chat.encode(calibrating, shown, rationale))
                    if swapped:
                        continue
                elif swapped and not self.both_orders:
                    continue
                self.encoded[pair.split].append(chat.encode(question, shown, rationale))
        for split in SPLITS:
            if not self.encoded[split]:
                raise KedrecError(
                    f"{self.pairs_path or self.graph_path}: no pair in the {split} split; see data.init_args"
                )
        if self.distill is not None:
            self.encoded["train"] = with_expectations(self.encoded["train"], self.distill, base, store)

    def _pairs(self, library: Library, exported: Exported | None, store: Store) -> list[Pair]:
        self.manifest = None
        if self.pairs_path is not None:
            return load_pairs(self.pairs_path)
        drawing = Drawing(
            relations=self.relations,
            negatives=self.negatives,
            embeddings=exported,
            hardness=self.hardness,
            balanced=self.balanced,
            hierarchy=self.hierarchy,
            limits=self.limits,
            mentioned=self.mentioned,
            seed=self.seed,
            split=given_split(self.split, library.named, self.relations) or (self.split_by, *self.fractions),
        )
        pairs, self.manifest = drawing.pairs(library, store)
        return pairs

    def _contested(self) -> dict[str, str]:
        """Return how many irrelevant drugs another source calls relevant, and the first of them."""
        if self.indications is None:
            return {}
        found = contested(self.pairs, load_indications(self.indications))
        shown = ", ".join(f"{pair.irrelevant} for {pair.disease} ({pair.split})" for pair in found[:_SHOWN])
        told = f"{len(found)} of {len(self.pairs)} by {self.indications}"
        return {"contested negatives": f"{told}: {shown}{', ...' if len(found) > _SHOWN else ''}" if found else told}


def _longest_first(row: Encoded) -> tuple[int, str, bool, str]:
    question = row.question
    return -len(row.prompt), question.pair, question.swapped, question.audit
