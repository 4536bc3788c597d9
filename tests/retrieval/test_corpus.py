"""Which passages a corpus has, and that it has none without texts."""

import json
from pathlib import Path

import pytest

from kedrec.errors import KedrecError
from kedrec.graph.named_graph import NamedGraph
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.corpus import Corpus
from kedrec.storage.artifact_store import Store

SAMPLE = Path(__file__).parents[2] / "kedrec" / "sample"


@pytest.fixture(scope="module")
def opened(tiny_encoder_folder, store):
    """Opens a corpus over the sample's graph."""
    named, encoder = NamedGraph.load(str(SAMPLE / "triples.tsv"), Store(store)), Encoder(str(tiny_encoder_folder))

    def opened(texts=SAMPLE / "passages.jsonl", **settings):
        return Corpus.open(str(texts), named, encoder, Store(store), chunk_tokens=256, **settings)

    return opened


def test_an_unknown_source_names_those_there_are(opened):
    with pytest.raises(KedrecError, match=r"texts: no passage of source 'pmcs'.*did you mean 'pmc'.*clinical_trials"):
        opened().check_sources(["pmcs"], "texts")


def test_only_passages_that_name_a_drug_of_the_graph_are_indexed_on_demand(opened):
    assert 0 < len(opened(naming_drugs=True).passages) < len(opened().passages)


def test_with_a_cut_off_only_passages_that_are_surely_older_are_left(opened, tmp_path):
    dated = {"a": "2013", "b": "2014-12-31", "c": "2015", "d": "2015-01-01", "e": "", "f": "2014-12"}
    rows = [
        {"id": name, "source": "pmc", "title": "", "text": f"metformin {name}", "date": date}
        for name, date in dated.items()
    ]
    texts = tmp_path / "passages.jsonl"
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))

    corpus = opened(texts, before="2015-01-01")
    assert sorted(passage.id for passage in corpus.passages) == ["a", "b", "f"]
    assert corpus.identity["before"] == "2015-01-01"
    assert len(opened(texts).passages) == 6
    with pytest.raises(KedrecError, match="no passage has a date before 1990-01-01"):
        opened(texts, before="1990-01-01")
    with pytest.raises(KedrecError, match="before"):
        opened(texts, before="soon")


def test_a_corpus_without_texts_has_no_passages(store):
    corpus = Corpus.without_texts(NamedGraph.load(str(SAMPLE / "triples.tsv"), Store(store)), 256)
    assert corpus.retriever is None
    assert corpus.identity["texts"] is None
    assert (corpus.passages, corpus.sources, corpus.mentions) == ([], [], {})
