"""The student's answer against the same computed in full: both orders, and a rationale that goes on from the drug."""

from dataclasses import replace

import pytest
import torch

from kedrec.commands.recommend.explainer import Explainer
from kedrec.commands.recommend.recommendation import StudentFacts
from kedrec.graph.named_graph import NamedGraph
from kedrec.kedrec_lm.chat_encoding import ChatEncoder
from kedrec.kedrec_lm.evidence import retrieve_evidence
from kedrec.kedrec_lm.pair_source import open_texts
from kedrec.kedrec_lm.question_builder import QuestionBuilder
from kedrec.kedrec_lm.question_settings import PromptSettings, RetrievalSettings
from kedrec.kedrec_lm.student import Student
from kedrec.retrieval.corpus import Corpus
from kedrec.splits.pairs import Pair
from kedrec.storage.artifact_store import Store
from tests.support.command_process import REPOSITORY

SAMPLE = REPOSITORY / "kedrec" / "sample"
SOURCES = ["clinical_trials", "pmc"]


@pytest.fixture(scope="module")
def explainer(tiny_base, tiny_encoder_folder, store):
    files = str(SAMPLE / "triples.tsv"), str(SAMPLE / "passages.jsonl")
    student = Student(str(tiny_base), max_new_tokens=6)
    student.configure_model()
    student.net.eval()
    retrieval, prompt = RetrievalSettings(SOURCES, str(tiny_encoder_folder)), PromptSettings()
    corpus = open_texts(files[1], NamedGraph.load(files[0], Store()), retrieval, False, Store())
    facts = StudentFacts("", str(tiny_base), 2.0, files[1], tuple(SOURCES), 1)
    chat = ChatEncoder(str(tiny_base), prompt.max_tokens)
    return Explainer(student, corpus, retrieval, prompt, 2, chat, facts)


@pytest.fixture(scope="module")
def pairs():
    from kedrec.splits.pairs import load_pairs

    return load_pairs(SAMPLE / "pairs.parquet")[:3]


def encoded(explainer, pair, swapped):
    evidence = retrieve_evidence(explainer.corpus, [pair], 1)
    builder = QuestionBuilder(explainer.corpus.named, evidence, SOURCES, PromptSettings())
    return explainer.chat.encode(builder.question(pair, swapped), builder.shown(pair, swapped), "")


def log_probability(net, prompt, answer):
    logits = net(torch.tensor([prompt + answer])).logits[0].float().log_softmax(-1)
    return sum(float(logits[len(prompt) + at - 1, token]) for at, token in enumerate(answer))


@torch.no_grad()
def test_margin_and_rationale_are_those_of_the_drug_asked_for(explainer, pairs):
    asked = [(pair.relevant, pair.irrelevant) for pair in pairs]
    found = explainer.explain(pairs[0].disease, asked)
    preferred = set()
    for (drug, other), one in zip(asked, found, strict=True):
        pair = Pair(pairs[0].disease, drug, other, "test", True, "")
        rows = [encoded(explainer, pair, swapped) for swapped in (False, True)]
        scores = [
            [log_probability(explainer.student.net, row.prompt, choice) for choice in row.choices] for row in rows
        ]
        margins = [
            own[row.question.correct] - own[1 - row.question.correct] for own, row in zip(scores, rows, strict=True)
        ]
        assert one.margin == pytest.approx(sum(margins) / 2, abs=1e-2)
        assert one.prefers_drug == (sum(margins) > 0)
        assert one.agreed == ((margins[0] > 0) == (margins[1] > 0))
        assert one.confidence == pytest.approx(float(torch.tensor(abs(one.margin) / 2).sigmoid()), abs=1e-4)
        tokens = rows[0].prompt + rows[0].choices[rows[0].question.correct]
        written = []
        for _ in range(6):
            following = int(explainer.student.net(torch.tensor([tokens + written])).logits[0, -1].argmax())
            if following == explainer.student.tokenizer.eos_token_id:
                break
            written.append(following)
        assert one.rationale == explainer.student.tokenizer.decode(written, skip_special_tokens=True).strip()
        preferred.add(one.prefers_drug)
        assert one.alternative == other
    turned = explainer.explain(pairs[0].disease, [(other, drug) for drug, other in asked])
    assert [one.margin for one in turned] == pytest.approx([-one.margin for one in found], abs=2e-2)


def test_passages_are_those_of_both_drugs_with_their_links(explainer, pairs):
    pair = pairs[0]
    (one,) = explainer.explain(pair.disease, [(pair.relevant, pair.irrelevant)])
    names = {explainer.corpus.named.names(drug)[0] for drug in (pair.relevant, pair.irrelevant)}
    assert {passage.drug for passage in one.passages} == names
    assert [passage.number for passage in one.passages] == list(range(1, len(one.passages) + 1))
    known = {passage.id: passage for passage in explainer.corpus.passages}
    for passage in one.passages:
        assert passage.url == known[passage.id].url
        assert passage.title == known[passage.id].title
        assert passage.excerpt
    assert all(not passage.cited for passage in one.passages) or any(one.citations)


def test_without_sources_or_a_temperature_it_still_answers(explainer, pairs):
    corpus = Corpus.without_texts(explainer.corpus.named, 200)
    facts = replace(explainer.facts, temperature=None, texts="", sources=(), passages=0)
    (one,) = replace(explainer, corpus=corpus, retrieval=RetrievalSettings([]), facts=facts).explain(
        pairs[0].disease, [(pairs[0].relevant, pairs[0].irrelevant)]
    )
    assert one.passages == ()
    assert one.confidence is None
