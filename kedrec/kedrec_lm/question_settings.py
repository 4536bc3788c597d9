"""The settings of the student's questions: groups of keys below ``data.init_args``."""

from dataclasses import dataclass, field
from typing import Literal

from kedrec.errors import KedrecError
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.kedrec_lm.pair_sampling import Negatives
from kedrec.kedrec_lm.robustness_audits import AUDITS, Audit
from kedrec.kedrec_lm.token_teacher import Distillation
from kedrec.splits.split_creation import SplitBy

PassageOrder = Literal["nearest", "question"]
_NEAREST = (0, 10)  # ranks


@dataclass(frozen=True)
class PairSettings:
    """Which pairs of a relevant and an irrelevant drug the questions are about.

    Attributes:
        file: Parquet of pairs; ``null`` samples them from the graph.
        relations: therapeutic relations, whole or by their first two parts.
        negatives: where a sampled pair's irrelevant drug comes from: ``random`` is any drug, ``similar`` one that is
            like the relevant drug, ``popular`` one that treats about as many diseases.
        balanced: sample no drug as irrelevant more often than it is relevant in its split, so that its name alone is no
            evidence.
        hardness: unless ``balanced``, the ranks by similarity that are sampled from: the first rank, and the first
            beyond.
        embeddings: the folder of a KGE's or GNN's run: its embeddings measure the similarity of drugs, in place of the
            neighbours that they share, and its choice between the two drugs becomes a heuristic baseline.
        hierarchy: TSV of (child, parent) diseases: no sampled irrelevant drug treats a parent or a child.
        indications: TSV of (drug, disease) of another source; irrelevant drugs that it calls relevant are counted.
        limits: most pairs a split, as ``{train: 1000, ...}``.
        mentioned: sample only pairs of which some passage names both disease and relevant drug, and index only
            passages that name a drug of the graph.
    """

    file: str | None = None
    relations: list[str] = field(default_factory=lambda: list(THERAPEUTIC))
    negatives: Negatives = "similar"
    balanced: bool = True
    hardness: tuple[int, int] = _NEAREST
    embeddings: str | None = None
    hierarchy: str | None = None
    indications: str | None = None
    limits: dict[str, int] | None = None
    mentioned: bool = False

    def check(self) -> None:
        """Raise where the settings contradict each other.

        Raises:
            KedrecError: ``hardness`` is no range of ranks, or has no effect.
        """
        if not 0 <= self.hardness[0] < self.hardness[1]:
            raise KedrecError(
                f"data.init_args.pairs.hardness: {list(self.hardness)}; expected two ranks, such as [0, 10]"
            )
        if self.balanced and self.hardness != _NEAREST:
            raise KedrecError(
                "data.init_args.pairs.hardness: balanced sampling does not select by rank; set pairs.balanced=false too"
            )


@dataclass(frozen=True)
class SplitSettings:
    """Which treatments are for training, validation and test.

    Attributes:
        by: what test and training never share: a ``pair``, ``disease`` or ``drug``; or ``date``, when a text first
            named both: training and its teacher then read no text of validation's time or later.
        file: a ``split.tsv`` that a run has written: what it holds out for validation and test is held out from this
            training too, in place of ``by``, ``validation`` and ``test``.
        validation: share of the pairs, diseases, drugs or dated pairs.
        test: likewise.
    """

    by: SplitBy = "disease"
    file: str | None = None
    validation: float = 0.05
    test: float = 0.1


@dataclass(frozen=True)
class RetrievalSettings:
    """Which passages are retrieved.

    Attributes:
        sources: whose passages a prompt shows; ``[]`` is the setting without passages.
        encoder: ``minilm`` (bundled), a folder, or a hub name of a bi-encoder.
        passages_per_drug: passages of each source for each of the two drugs.
        chunk_tokens: documents are cut to passages of about this many tokens, at sentence ends.
        before: passages that are not surely older than this day, ``YYYY-MM-DD``, are left out.
    """

    sources: list[str]
    encoder: str = "minilm"
    passages_per_drug: int = 1
    chunk_tokens: int = 200
    before: str | None = None


@dataclass(frozen=True)
class PromptSettings:
    """How a question and its passages are written.

    Attributes:
        passage_words: of each passage the sentences that name disease or drug are shown, to about this many words.
        passage_order: which drug's passages come first: of the ``nearest``, in sum, to their queries, which gives away
            much of the answer before a student reads, or of the drug that the ``question`` names first.
        max_tokens: prompt and answer together.
    """

    passage_words: int = 32
    passage_order: PassageOrder = "nearest"
    max_tokens: int = 768


@dataclass(frozen=True)
class EvaluationSettings:
    """What the test measures beside the choices and rationales.

    Attributes:
        audits: the robustness audits: counterfactual forms of each test question, see
            `kedrec.kedrec_lm.robustness_audits`.
        entailment: folder or hub name of an NLI model that also judges whether passages entail the sentences that cite
            them; ``null`` leaves that to shared words and to the encoder.
    """

    audits: list[Audit] = field(default_factory=lambda: list(AUDITS))
    entailment: str | None = None


@dataclass(frozen=True)
class LoaderSettings:
    """What a batch holds.

    Attributes:
        batch_size: conversations a training batch.
        test_batch_size: prompts a test batch.
        both_orders: train on both orders of the two drugs, side by side in a batch.
        distill: the teacher whose token distributions are computed in advance, stored, and added to the training
            batches, ``${model.init_args.distill}``; ``null`` lets the student query its teacher, if it has one, as it
            trains.
    """

    batch_size: int = 4
    test_batch_size: int = 16
    both_orders: bool = True
    distill: Distillation | None = None
