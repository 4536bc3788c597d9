"""``mimic_pairwise``: the student's questions about the admissions of a hospital."""

from kedrec.errors import KedrecError
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
from kedrec.mimic.admission_source import AdmissionPairs, AdmissionSettings
from kedrec.sources.text.text_source import TextSource


class MimicPairwise(QuestionData):
    """An admission's principal diagnosis, a drug that was prescribed in it, and one that is unusual for the diagnosis.

    Prescribed is not the same as treating it: a hospital also prescribes for a patient's other conditions. The
    irrelevant drug is prescribed to somebody, but in fewer than ``admissions.usual`` of the admissions of this category
    of diagnosis, in none of those that the questions are about, and the graph states no therapeutic edge between the
    two. Each patient is in one split; a diagnosis with a drug that a test question is about occurs in no training
    question of another patient. What is derived from patient data is kept in the run folder and never in the store.

    Args:
        base: the student's base, whose tokenizer and chat template are used.
        admissions: which admissions the questions are about.
        graph: triples TSV (plain, gz, zst) or a folder that holds one; entity names lie beside it.
        texts: passages JSONL, a folder of texts, or a text source.
        retrieval: which passages are retrieved.
        pairs: how irrelevant drugs are sampled; ``file`` must be absent, and ``mentioned`` only decides which passages
            are indexed.
        split: which patients are held out, by share; ``by`` has no effect.
        prompt: how questions and passages are written.
        rationales: JSONL of recorded rationales; ``null`` lets the extractive teacher write them.
        evaluation: what the test measures beside choices and rationales.
        loader: what a batch holds; ``distill`` must be absent.
        seed: of pairs, order and batches.
    """

    private = True
    collection = "MIMIC"
    collection = "MIMIC"

    def __init__(
        self,
        base: str,
        admissions: AdmissionSettings,
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
        if loader.distill is not None:
            raise KedrecError(
                "data.init_args.loader.distill: it would keep a teacher's distributions on patient data in the store; "
                "leave it out, and the student queries the teacher as it trains"
            )
        reads = bool(retrieval.sources) or rationales is None or pairs.mentioned
        source = AdmissionPairs(graph, texts, pairs, split, retrieval, seed, admissions, reads_texts=reads)
        super().__init__(base, source, UncheckedRationales(rationales), prompt, evaluation, loader, seed)
