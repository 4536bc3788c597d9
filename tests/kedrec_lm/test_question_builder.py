"""What a question shows of the texts, and when the texts are read at all."""

from pathlib import Path

import pytest

from kedrec.errors import KedrecError
from kedrec.graph.named_graph import NamedGraph
from kedrec.kedrec_lm.evidence import retrieve_evidence
from kedrec.kedrec_lm.instruction_data import InstructionData
from kedrec.kedrec_lm.pair_source import open_texts
from kedrec.kedrec_lm.question_builder import QuestionBuilder
from kedrec.kedrec_lm.question_settings import PairSettings, PromptSettings, RetrievalSettings
from kedrec.splits.pairs import load_pairs
from kedrec.storage.artifact_store import Store

SAMPLE = Path(__file__).parents[2] / "kedrec" / "sample"
RATIONALES = str(SAMPLE / "rationales.jsonl")


@pytest.fixture(scope="module")
def pairs():
    return load_pairs(SAMPLE / "pairs.parquet")[:30]


@pytest.fixture(scope="module")
def builder(tiny_encoder_folder, store, pairs):
    """Makes the builder of the questions about the pairs."""
    named = NamedGraph.load(str(SAMPLE / "triples.tsv"), Store(store))

    def made(sources, order="nearest", per_drug=1):
        retrieval = RetrievalSettings(sources, str(tiny_encoder_folder), chunk_tokens=256)
        corpus = open_texts(str(SAMPLE / "passages.jsonl"), named, retrieval, False, Store(store))
        evidence = retrieve_evidence(corpus, pairs, per_drug)
        return QuestionBuilder(named, evidence, sources, PromptSettings(passage_order=order))

    return made


def _drugs(shown):
    """The drugs whose passages are shown, in their order, each once."""
    return list(dict.fromkeys(passage.drug for passage in shown))


def test_without_passages_and_with_recorded_rationales_no_text_is_read(tiny_base, tiny_encoder_folder, store, tmp_path):
    def data(sources, rationales=RATIONALES, mentioned=False):
        retrieval = RetrievalSettings(sources, str(tiny_encoder_folder), chunk_tokens=256)
        pairs = PairSettings(str(SAMPLE / "pairs.parquet"), mentioned=mentioned)
        graph, absent = str(SAMPLE / "triples.tsv"), str(tmp_path / "absent")
        made = InstructionData(str(tiny_base), graph, absent, retrieval, pairs, rationales=rationales)
        made.setup("fit")
        return made

    vanilla = data([])
    assert len(vanilla.encoded["train"]) > 0
    for row in vanilla.encoded["train"]:
        assert row.question.passages == ()
        assert row.question.reference
        assert row.question.heuristics["nearest_passage"] == (0.0, 0.0)
    for needs_texts in ({"sources": ["pmc"]}, {"sources": [], "rationales": None}, {"sources": [], "mentioned": True}):
        with pytest.raises(KedrecError, match="absent"):
            data(**needs_texts)


def test_the_nearest_come_first_whichever_drug_the_question_names_first(builder, pairs):
    questions = builder(["clinical_trials", "pmc"])
    for pair in pairs:
        for swapped in (False, True):
            question = questions.question(pair, swapped)
            shown = questions.shown(pair, swapped)
            assert [one.id for one in shown] == [one.id for one in questions.shown(pair, not swapped)]
            first, second = question.heuristics["nearest_passage"]
            nearer = question.drugs[second > first]
            assert first == second or _drugs(shown)[0] == nearer


def test_in_the_order_of_the_question_the_passages_give_nothing_away(builder, pairs):
    questions = builder(["clinical_trials", "pmc"], order="question")
    for pair in pairs:
        for swapped in (False, True):
            first = questions.question(pair, swapped).drugs[0]
            assert _drugs(questions.shown(pair, swapped))[0] == first


def test_a_passage_is_shown_once_and_is_of_the_chosen_sources(builder, pairs):
    questions = builder(["pmc"], per_drug=3)
    for pair in pairs:
        shown = questions.shown(pair, False)
        assert len({passage.id for passage in shown}) == len(shown) > 0
        assert {passage.source for passage in shown} == {"pmc"}
        assert all(len(passage.text.split()) <= 60 for passage in shown)
