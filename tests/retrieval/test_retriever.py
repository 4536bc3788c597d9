"""Retrieval: one passage a document, preferred names first, and nothing computed twice."""

import json
import os
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.chunking import chunk
from kedrec.retrieval.retriever import Retriever, open_corpus, query_text
from kedrec.retrieval.vector_index import recall
from kedrec.runtime.progress import told_to
from kedrec.sources.text.documents import read_documents
from kedrec.storage.artifact_store import Store
from kedrec.text.passage import Passage

TEXTS = {
    "pmc": [
        "aspirin prevents stroke",
        "warfarin prevents stroke in adults",
        "metformin for diabetes",
        "insulin lowers blood sugar",
        "asthma in children",
    ],
    "clinical_trials": ["a trial of aspirin in patients with stroke", "a trial of insulin"],
}


@pytest.fixture(scope="module")
def encoder(tiny_encoder_folder):
    return Encoder(str(tiny_encoder_folder), dtype="float32", device="cpu")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"id": f"{source}{number}", "source": source, "title": "", "text": text}
        for source, texts in TEXTS.items()
        for number, text in enumerate(texts)
    ]
    place = tmp_path / "texts"
    place.mkdir()
    (place / "passages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


@pytest.fixture
def encoded(monkeypatch):
    """The number of passages that each call of `Encoder.encode` embeds."""
    calls = []
    original = Encoder.encode

    def counted(self, texts):
        calls.append(len(texts))
        return original(self, texts)

    monkeypatch.setattr(Encoder, "encode", counted)
    return calls


def passage(name, text, document=None, title=""):
    return Passage(id=name, document=document or name, source="pmc", title=title, text=text)


def interrupted(*_, **__):
    raise KeyboardInterrupt


def ids(found):
    return [[one.passage.id for one in row] for row in found]


def test_a_query_finds_its_own_words_in_its_source_only(encoder, store, folder):
    retriever = open_corpus(folder, encoder, store)
    assert retriever.sources == ["clinical_trials", "pmc"]
    for number, text in enumerate(TEXTS["pmc"]):
        (found,) = retriever.retrieve([text], "pmc", k=3)
        assert found[0].passage.id == f"pmc{number}"
        assert found[0].score == pytest.approx(1, abs=1e-4)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    both = retriever.retrieve(["insulin", "aspirin in stroke"], "clinical_trials", k=5)
    assert [len(row) for row in both] == [2, 2]
    assert all(one.passage.source == "clinical_trials" for row in both for one in row)


def test_no_document_comes_twice_even_if_it_fills_the_pool(encoder, store):
    long = [passage(f"L#{part}", f"aspirin prevents stroke {part % 3}", document="L") for part in range(20)]
    retriever = Retriever([*long, passage("A", "asthma"), passage("B", "pain")], encoder, store, pool=4)
    (found,) = retriever.retrieve(["aspirin prevents stroke 1"], "pmc", k=3)
    assert {one.passage.document for one in found} == {"L", "A", "B"}


def test_equal_passages_come_in_corpus_order(encoder, store):
    retriever = Retriever([passage(name, "pain") for name in "ZAQ"], encoder, store)
    assert ids(retriever.retrieve(["pain"], "pmc", k=3)) == [["Z", "A", "Q"]]


def test_preferred_names_come_first_as_whole_words_in_any_case(encoder, store):
    texts = {"none": "aspirin prevents stroke", "part": "aspirins prevent stroke", "title": "asthma in children"}
    corpus = [passage(name, text, title="Aspirin." if name == "title" else "") for name, text in texts.items()]
    corpus[0] = passage("none", "warfarin prevents stroke")
    retriever = Retriever([*corpus, passage("bracket", "pain (ASPIRIN) in the heart")], encoder, store)
    plain, preferred = (
        retriever.retrieve(["warfarin prevents stroke"], "pmc", k=4, prefer=prefer)
        for prefer in (None, [["aspirin", "no such"]])
    )
    assert ids(plain)[0][0] == "none"
    assert set(ids(preferred)[0][:2]) == {"title", "bracket"}
    assert ids(preferred)[0][2:] == [name for name in ids(plain)[0] if name in ("none", "part")]
    scores = [one.score for one in preferred[0][:2]]
    assert scores == sorted(scores, reverse=True)


def test_preference_chooses_the_passage_of_a_document_that_names_the_drug(encoder, store):
    corpus = [
        passage("D", "stroke in adults", document="D"),
        passage("D#2", "aspirin", document="D"),
        passage("E", "pain"),
    ]
    retriever = Retriever(corpus, encoder, store)
    assert ids(retriever.retrieve(["stroke in adults"], "pmc", k=1)) == [["D"]]
    assert ids(retriever.retrieve(["stroke in adults"], "pmc", k=1, prefer=[["aspirin"]])) == [["D#2"]]
    assert ids(retriever.retrieve(["stroke in adults"], "pmc", k=1, prefer=[[]])) == [["D"]]


def test_the_second_run_embeds_nothing_and_each_source_only_when_asked(encoder, store, folder, encoded):
    queries = ["aspirin", "insulin"]
    first = open_corpus(folder, encoder, store).retrieve(queries, "pmc", k=2)
    assert encoded == [5]
    again = open_corpus(folder, encoder, store)
    assert again.retrieve(queries, "pmc", k=2) == first
    assert encoded == [5]
    again.retrieve(queries, "clinical_trials", k=2)
    assert encoded == [5, 2]


def test_other_index_settings_reuse_the_vectors_and_changed_texts_do_not(encoder, store, folder, encoded):
    corpus = list(open_corpus(folder, encoder, store).passages("pmc"))
    exact = Retriever(corpus, encoder, store)
    graph = Retriever(corpus, encoder, store, exact_below=1)
    assert ids(exact.retrieve(TEXTS["pmc"], "pmc", 3)) == ids(graph.retrieve(TEXTS["pmc"], "pmc", 3))
    assert (exact.index("pmc").exact, graph.index("pmc").exact) == (True, False)
    assert encoded == [5]
    (folder / "passages.jsonl").write_text(json.dumps({"id": "x", "source": "pmc", "title": "", "text": "pain"}) + "\n")
    assert ids(open_corpus(folder, encoder, store).retrieve(["pain"], "pmc", 1)) == [["x"]]
    assert encoded == [5, 1]


def test_an_interrupted_embedding_goes_on_where_it_was_and_tells_of_it(encoder, store, monkeypatch, encoded):
    monkeypatch.setattr("kedrec.retrieval.retriever._SLICE", 2)
    corpus = [passage(str(number), text) for number, text in enumerate(TEXTS["pmc"])]
    said = []
    with monkeypatch.context() as patch, told_to(lambda *told: said.append(told)):
        patch.setattr("kedrec.retrieval.retriever.build_index", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Retriever(corpus, encoder, store).index("pmc")
    assert encoded == [2, 2, 1]
    assert said == [("pmc passages embedded", done, 5) for done in (2, 4, 5)]
    changed = [*corpus[:4], passage("4", "pain")]
    assert ids(Retriever(changed, encoder, store).retrieve(["pain", TEXTS["pmc"][1]], "pmc", 1)) == [["4"], ["1"]]
    assert encoded == [2, 2, 1, 1], "only the changed slice is embedded again"


def test_long_documents_are_cut_by_the_encoders_tokens(encoder, store, folder):
    text = "aspirin prevents stroke in adults . Warfarin causes pain in children ."
    (folder / "passages.jsonl").write_text(json.dumps({"id": "x", "source": "pmc", "title": "", "text": text}) + "\n")
    assert [one.id for one in open_corpus(folder, encoder, store, chunk_tokens=6).passages("pmc")] == ["x", "x#2"]
    assert [one.id for one in open_corpus(folder, encoder, store).passages("pmc")] == ["x"]


def test_a_damaged_artefact_is_built_again(encoder, store, folder):
    first = open_corpus(folder, encoder, store).retrieve(["pain"], "pmc", 2)
    for file in store.root.rglob("*.npy"):
        file.write_bytes(b"damaged")
    assert open_corpus(folder, encoder, store).retrieve(["pain"], "pmc", 2) == first


def test_no_queries_give_no_rows(encoder, store, folder):
    assert open_corpus(folder, encoder, store).retrieve([], "pmc", 2) == []


def test_wrong_calls_say_what_was_expected(encoder, store, folder):
    retriever = open_corpus(folder, encoder, store)
    with pytest.raises(KedrecError, match="clinical_trials, pmc; did you mean 'pmc'"):
        retriever.retrieve(["pain"], "pcm", 2)
    with pytest.raises(KedrecError, match="each of the 2 queries"):
        retriever.retrieve(["pain", "asthma"], "pmc", 2, prefer=[["x"]])
    with pytest.raises(KedrecError, match="1 or more"):
        retriever.retrieve(["pain"], "pmc", 0)


def test_the_query_names_both_sides():
    assert query_text(disease="asthma", drug="salmeterol") == "salmeterol for the treatment of asthma"


@pytest.mark.slow
@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs KEDREC_REAL_DATA")
def test_real_abstracts_are_found_by_their_titles(store):
    encoder = Encoder()
    texts = Path(os.environ["KEDREC_REAL_DATA"]) / "text"
    documents = list(islice(read_documents(texts / "pubmed_abstracts.jsonl.zst"), 2000))[::10]
    corpus = list(chunk(documents, encoder.count_tokens))
    retriever = Retriever(corpus, encoder, store, exact_below=100)
    found = retriever.retrieve([document.title for document in documents], "pmc", k=3)
    hits = [row[0].passage.document == document.id for row, document in zip(found, documents, strict=True)]
    assert np.mean(hits) > 0.97
    vectors = encoder.encode_queries([document.title for document in documents])
    assert recall(retriever.index("pmc"), vectors, 10) > 0.99
    started = time.monotonic()
    Retriever(corpus, encoder, store, exact_below=100).index("pmc")
    assert time.monotonic() - started < 2
