"""Citations judged by an encoder and an NLI model."""

import numpy as np
import pytest

from kedrec.evaluation import citation_support as judging
from kedrec.evaluation.citation_support import citation_support_metrics, scored_citations, similarity_threshold
from kedrec.evaluation.entailment import Entailment
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.storage.artifact_store import Store
from tests.support.tiny_nli_model import tiny_nli

TEXTS = ("metformin treats diabetes in adults", "the heart and the lung", "")


def explained(rationale, disease="diabetes"):
    return {
        "pair": f"Disease::{disease}|Compound::1|Compound::2",
        "disease": disease,
        "drugs": ("Metformin", "Warfarin"),
        "passages": ("P-1", "P-2", "P-3"),
        "texts": TEXTS,
        "rationale": rationale,
    }


ROWS = [
    explained("Metformin treats diabetes in adults [1]. Warfarin causes pain [2]."),
    explained("Insulin lowers blood sugar [3]. Aspirin prevents stroke [7].", "stroke"),
    {"pair": "asked in the other order"},
]


@pytest.fixture(scope="module")
def encoder(tiny_encoder_folder):
    return Encoder(str(tiny_encoder_folder), dtype="float32", device="cpu")


@pytest.fixture
def nli(tmp_path, tiny_encoder_folder):
    return lambda bias: Entailment(str(tiny_nli(tmp_path / "nli", tiny_encoder_folder, bias=bias)))


def test_likeness_is_the_cosine_of_sentence_and_text(encoder):
    own, other, cut, nothing = scored_citations(ROWS, encoder)
    for citation, said in {own: "Metformin treats diabetes in adults.", other: "Warfarin causes pain."}.items():
        first, second = encoder.encode([said, citation.text])
        assert citation.similarity == pytest.approx(float(first @ second), abs=1e-5)
    assert own.similarity > other.similarity
    assert (cut.exists, cut.similarity) == (True, None)
    assert (nothing.exists, nothing.similarity) == (False, None)


def test_what_is_entailed_counts_among_all_citations(nli):
    sure = citation_support_metrics(ROWS, entailment=nli([0.0, 0.0, 5.0]))
    assert sure["citation_entailment"] == 0.5  # the text of one was cut away, and one cites nothing
    assert sure["citation_entailment_low"] < 0.5 < sure["citation_entailment_high"]
    assert citation_support_metrics(ROWS, entailment=nli([5.0, 0.0, 0.0]))["citation_entailment"] == 0
    assert [one.entailed for one in scored_citations(ROWS)] == [None] * 4


def test_the_text_is_the_premise(nli):
    model = nli(None)
    own, other, *unread = scored_citations(ROWS, entailment=model)
    expected = model.probabilities([(TEXTS[0], own.sentence), (TEXTS[1], other.sentence)])
    np.testing.assert_allclose([own.entailed, other.entailed], expected, rtol=1e-3)
    assert [one.entailed for one in unread] == [None, None]


def test_the_threshold_decides_what_is_near_enough(encoder, store, monkeypatch):
    likeness = [one.similarity for one in scored_citations(ROWS, encoder)[:2]]
    for least, share in {min(likeness): 0.5, max(likeness): 0.25, 1.01: 0.0}.items():
        monkeypatch.setattr(judging, "similarity_threshold", lambda *_, least=least: least)
        found = citation_support_metrics(ROWS, encoder)
        assert (found["citation_embedding_support"], found["citation_embedding_threshold"]) == (share, least)


def test_data_name_the_models_that_judge(nli, tmp_path, tiny_encoder_folder, store, encoder):
    nli([0.0, 0.0, 5.0])
    found = judging.answers_support(ROWS, str(tiny_encoder_folder), str(tmp_path / "nli"))
    assert found["test/citation_entailment"] == 0.5
    assert (
        found["test/citation_embedding_support"]
        == citation_support_metrics(ROWS, encoder)["citation_embedding_support"]
    )
    assert "test/citation_entailment" not in judging.answers_support(ROWS, str(tiny_encoder_folder), None)
    assert judging.answers_support(ROWS, None, None) == {}  # data of graphs cite nothing


def test_without_citations_or_models_there_is_nothing_to_say(encoder, nli):
    assert citation_support_metrics(ROWS) == {}
    assert citation_support_metrics([explained("Metformin.")], encoder, nli(None)) == {}
    assert citation_support_metrics([], encoder) == {}


def test_one_in_twenty_of_the_samples_sentences_passes_against_another_disease(encoder, tmp_path, monkeypatch):
    least = similarity_threshold(encoder, Store(tmp_path))
    diseases, said, texts = judging._sample_citations()
    assert len(said) == 717
    cosines = encoder.encode(said) @ encoder.encode(texts).T
    other = np.array(diseases)[:, None] != np.array(diseases)
    assert (cosines[other] >= least).mean() == pytest.approx(0.05, abs=0.002)
    monkeypatch.setattr(Encoder, "encode", None)  # the cosines are measured once, the threshold is taken from them
    assert least == similarity_threshold(encoder, Store(tmp_path))
    monkeypatch.setattr(judging, "_CHANCE", 0.5)
    assert least > similarity_threshold(encoder, Store(tmp_path))


@pytest.mark.real_weights
def test_the_bundled_encoder_tells_the_samples_passages_from_others(tmp_path):
    encoder = Encoder()
    assert similarity_threshold(encoder, Store(tmp_path)) == pytest.approx(0.346, abs=0.005)
    _, said, texts = judging._sample_citations()
    assert (judging._cosines(encoder, said[::7], texts[::7]) >= 0.346).mean() > 0.9
