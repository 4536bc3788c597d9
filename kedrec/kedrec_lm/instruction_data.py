"""The questions of an experiment: pairs of a file or of a graph, rationales recorded or quoted from the passages."""

from kedrec.kedrec_lm.pair_source import GraphPairs
from kedrec.kedrec_lm.question_data import QuestionData
from kedrec.kedrec_lm.question_settings import (
    EvaluationSettings,
    LoaderSettings,
    PairSettings,
    PromptSettings,
    RetrievalSettings,
    SplitSettings,
)
from kedrec.kedrec_lm.rationale_source import UncheckedRationales
from kedrec.sources.text.text_source import TextSource


class InstructionData(QuestionData):
    """From a graph and texts to conversations: pairs, passages, rationales, tokens.

    Args:
        base: the student's base, whose tokenizer and chat template are used.
        graph: triples TSV (plain, gz, zst) or a folder that holds one; entity names lie beside it.
        texts: passages JSONL, a folder of texts, or a text source.
        retrieval: which passages are retrieved.
        pairs: which pairs the questions are about.
        split: which treatments are held out.
        prompt: how questions and passages are written.
        rationales: JSONL of recorded rationales; ``null`` lets the extractive teacher write them.
        evaluation: what the test measures beside choices and rationales.
        loader: what a batch holds.
        seed: of pairs, order and batches.
    """

    def __init__(
        self,
        base: str,
        graph: str,
        texts: str | TextSource,
        retrieval: RetrievalSettings,
        pairs: PairSettings = PairSettings(),  # noqa: B008  (frozen)
        split: SplitSettings = SplitSettings(),  # noqa: B008
        prompt: PromptSettings = PromptSettings(),  # noqa: B008
        rationales: str | None = None,
        evaluation: EvaluationSettings = EvaluationSettings(),  # noqa: B008
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008
        seed: int = 0,
    ) -> None:
        # With no passages to show, recorded rationales, and pairs that need not be mentioned, no text is read.
        reads = bool(retrieval.sources) or rationales is None or pairs.mentioned
        super().__init__(
            base,
            GraphPairs(graph, texts, pairs, split, retrieval, seed, reads_texts=reads),
            UncheckedRationales(rationales),
            prompt,
            evaluation,
            loader,
            seed,
        )
