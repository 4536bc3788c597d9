"""What a question shows of the texts, and when the texts are needed at all."""

import json
from pathlib import Path

import pytest

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.evidence import Library
from kedrec.splits.pairs import load_pairs
from kedrec.storage.artifact_store import Store

SAMPLE = Path(__file__).parents[2] / "kedrec" / "sample"
RATIONALES = str(SAMPLE / "rationales.jsonl")


@pytest.fixture(scope="module")
def open_library(tiny_encoder_folder, store):
    def opened(sources, rationales=RATIONALES, texts=SAMPLE / "passages.jsonl", naming_drugs=False):
        graph = str(SAMPLE / "triples.tsv")
        return Library(
            graph, str(texts), sources, str(tiny_encoder_folder), 256, rationales, naming_drugs, Store(store)
        )

    return opened


@pytest.fixture(scope="module")
def pairs():
    return load_pairs(SAMPLE / "pairs.parquet")[:30]


def _drugs(shown):
    """The drugs whose passages are shown, in their order, each once."""
    return list(dict.fromkeys(passage.drug for passage in shown))


def test_without_passages_and_with_recorded_answers_no_text_is_read(open_library, pairs, tmp_path):
    library = open_library([], texts=tmp_path / "absent")
    gathered = library.gather(pairs, 1)
    assert library.shown(pairs[0], gathered, False, 32, "nearest") == []
    assert library.explain(pairs[0], gathered)
    assert library.question(pairs[0], gathered, False).controls == {"nearest_passage": (0.0, 0.0)}
    for needs_texts in (
        {"sources": ["pmc"]},
        {"sources": [], "rationales": None},
        {"sources": [], "naming_drugs": True},
    ):
        with pytest.raises(KedrecError, match="absent"):
            open_library(**needs_texts, texts=tmp_path / "absent")


def test_the_nearest_come_first_whichever_drug_the_question_names_first(open_library, pairs):
    library = open_library(["clinical_trials", "pmc"])
    gathered = library.gather(pairs, 1)
    for pair in pairs:
        for swapped in (False, True):
            question = library.question(pair, gathered, swapped)
            shown = library.shown(pair, gathered, swapped, 32, "nearest")
            assert [one.id for one in shown] == [
                one.id for one in library.shown(pair, gathered, not swapped, 32, "nearest")
            ]
            first, second = question.controls["nearest_passage"]
            nearer = question.drugs[second > first]
            assert first == second or _drugs(shown)[0] == nearer


def test_in_the_order_of_the_question_the_passages_tell_nothing(open_library, pairs):
    library = open_library(["clinical_trials", "pmc"])
    gathered = library.gather(pairs, 1)
    for pair in pairs:
        for swapped in (False, True):
            first = library.question(pair, gathered, swapped).drugs[0]
            assert _drugs(library.shown(pair, gathered, swapped, 32, "question"))[0] == first


def test_a_passage_is_shown_once_and_is_of_the_sources_asked_for(open_library, pairs):
    library = open_library(["pmc"])
    gathered = library.gather(pairs, 3)
    for pair in pairs:
        shown = library.shown(pair, gathered, False, 32, "nearest")
        assert len({passage.id for passage in shown}) == len(shown) > 0
        assert {passage.source for passage in shown} == {"pmc"}
        assert all(len(passage.text.split()) <= 60 for passage in shown)


def test_an_unknown_source_names_those_there_are(open_library):
    with pytest.raises(KedrecError, match=r"no passage of source 'pmcs'.*did you mean 'pmc'.*clinical_trials"):
        open_library(["pmcs"])


def test_only_passages_that_name_a_drug_of_the_graph_are_kept_on_demand(open_library):
    every, naming = open_library(["pmc"]), open_library(["pmc"], naming_drugs=True)
    assert 0 < naming.facts["passages"] < every.facts["passages"]


def test_with_a_cut_off_only_what_is_surely_older_is_known(tiny_encoder_folder, store, tmp_path):
    dated = {"a": "2013", "b": "2014-12-31", "c": "2015", "d": "2015-01-01", "e": "", "f": "2014-12"}
    rows = [
        {"id": name, "source": "pmc", "title": "", "text": f"metformin {name}", "date": date}
        for name, date in dated.items()
    ]
    texts = tmp_path / "passages.jsonl"
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def opened(before):
        graph, encoder = str(SAMPLE / "triples.tsv"), str(tiny_encoder_folder)
        return Library(graph, str(texts), ["pmc"], encoder, 256, RATIONALES, False, Store(store), before)

    library = opened("2015-01-01")
    assert sorted(passage.id for passage in library.retriever.passages("pmc")) == ["a", "b", "f"]
    assert library.identity["before"] == "2015-01-01"
    assert len(opened(None).retriever.passages("pmc")) == 6
    with pytest.raises(KedrecError, match="no passage has a date before 1990-01-01"):
        opened("1990-01-01")
    with pytest.raises(KedrecError, match="before"):
        opened("soon")


def test_a_library_of_no_texts_reads_none(tiny_encoder_folder, store):
    library = Library(str(SAMPLE / "triples.tsv"), None, [], str(tiny_encoder_folder), 256, None, False, Store(store))
    assert library.retriever is None
    assert library.identity["texts"] is None
