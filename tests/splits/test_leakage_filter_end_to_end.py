"""No test treatment is visible to graph, retrieval, teacher or student: with planted leaks, the sample and real data.

Each guard is taken away in turn, and the search must then find the leak that was planted for it.
"""

import json
import os
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kedrec.baselines.message_passing import MessageGraph
from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.links import linked_pairs
from kedrec.kedrec_lm import pair_sampling as drawing
from kedrec.kedrec_lm import pair_source, question_data
from kedrec.kedrec_lm.rationale_teachers import ExtractiveTeacher
from kedrec.lladr import triple_noise
from kedrec.sources.text.documents import read_documents
from kedrec.splits import triple_partition as partition
from kedrec.splits.leakage_filter import LeakageFilter
from kedrec.splits.pairs import Pair, save_pairs
from kedrec.splits.treatment_split import TreatmentSplit
from kedrec.storage.artifact_store import Store
from tests.support import leak_search as leaks
from tests.support.command_process import REPOSITORY
from tests.support.drawn_pairs import sample_pairs
from tests.support.planted_treatment import (
    DISEASE,
    DRUG,
    PREVENTS,
    TREATS,
    in_graph,
    in_student,
    kept_for_test,
    lines,
    passages,
    plant,
    student_data,
    triple_data,
    world_of,
)

SAMPLE = REPOSITORY / "kedrec" / "sample"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A graph, names and texts that tell of a test treatment in every channel, and a split that holds it out."""
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A store of one's own, where what a guard's absence changes is kept from other tests."""
    monkeypatch.setenv("KEDREC_STORE", str(tmp_path / "store"))


@pytest.fixture
def student(tiny_base, tiny_encoder_folder, store):
    """Makes the student's data."""
    return partial(student_data, tiny_base, tiny_encoder_folder)


@pytest.fixture
def planted_student(student, planted):
    """The student's data on the planted leaks."""

    def made(**settings):
        return student(planted, planted / "texts.jsonl", **{"split": {"file": str(planted / "split.tsv")}, **settings})

    return made


def _one_way(graph, kept=None):
    """``linked_pairs``, but blind to triples that begin with the disease."""
    from_drug = np.isin(graph.triples[:, 0], graph.of_type("Compound"))
    return np.where(from_drug, linked_pairs(graph, kept), -1)


def _trained_on(part, therapeutic):
    """The parts with other triples between held-out ends left for training."""
    return np.where(therapeutic, part, 0)


GUARDS_OF_GRAPHS = {
    "other relations": (partition, "_without_leaking", _trained_on, {}, "triple Compound::0 GNBR::Pr"),
    "direction": (partition, "linked_pairs", _one_way, {}, f"triple {DISEASE} {TREATS} {DRUG}"),
    "namesakes": (partition, "linked_pairs", lambda graph, kept: linked_pairs(graph), {}, "Disease::DOID:0"),
    "noise": (triple_noise, "every_link", lambda *_: np.empty((0, 3), np.int32), {"noise__add": 60.0}, "triple"),
    "descriptions": (LeakageFilter, "clean_descriptions", lambda _, texts: texts, {}, "description of Compound::twin"),
}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("guard", GUARDS_OF_GRAPHS)
def test_a_graph_model_sees_no_test_treatment_and_each_guard_is_needed(planted, monkeypatch, guard):
    module, name, without, settings, expected = GUARDS_OF_GRAPHS[guard]
    settings = {"split__file": str(planted / "split.tsv"), "loader__batch_size": 8, **settings}
    world, edges = world_of(planted), kept_for_test(planted)
    assert in_graph(triple_data(planted, **settings), world, edges) == []
    monkeypatch.setattr(module, name, without)
    found = in_graph(triple_data(planted, **settings), world, edges)
    assert any(expected in one for one in found), found


@pytest.mark.usefixtures("store")
def test_no_message_of_a_gnn_runs_between_the_ends(planted):
    data = triple_data(planted, split__file=str(planted / "split.tsv"), noise__add=20.0)
    vocabulary, world = data.vocabulary, world_of(planted)
    graph = MessageGraph(torch.from_numpy(data.training_triples), len(vocabulary.entities), 5, grouped=False)
    row_of = {entity: row for row, entity in enumerate(vocabulary.entities)}

    def messages(edges):
        ends = [sorted(row_of[one] for one in both) for both in world.ends(edges)]
        return len(graph.between(*torch.tensor(ends).T))

    assert messages(kept_for_test(planted)) == 0
    assert messages({("Compound::7", "Disease::MESH:D7")}) > 0


def _own_shares(monkeypatch):
    monkeypatch.setattr(pair_source, "given_split", lambda *_: None)


def _all_passages(monkeypatch):
    monkeypatch.setattr(LeakageFilter, "leaking_passages", lambda *_: {})


GUARDS_OF_STUDENTS = {"the given split": (_own_shares, "question"), "hidden passages": (_all_passages, "passage told")}


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("guard", GUARDS_OF_STUDENTS)
def test_a_student_sees_no_test_treatment_and_each_guard_is_needed(planted, planted_student, monkeypatch, guard):
    world, edges = world_of(planted, planted / "texts.jsonl"), kept_for_test(planted)
    data = planted_student()
    assert in_student(data, world, edges) == []
    assert data.facts["questions_with_passages_withheld"]["train"] > 0
    assert data.facts["split"]["test"] == "2 treatments"
    without, expected = GUARDS_OF_STUDENTS[guard]
    without(monkeypatch)
    found = in_student(planted_student(), world, edges)
    assert any(expected in one for one in found), found


def test_in_place_of_a_withheld_passage_the_next_nearest_is_shown(planted_student):
    rows = planted_student().encoded["train"]
    assert all(row.question.passages for row in rows)
    assert "told" not in {one for row in rows for one in row.question.passages}


def test_the_teacher_reads_no_passage_that_tells(planted, planted_student, monkeypatch):
    world, read = world_of(planted, planted / "texts.jsonl"), {}
    told, explain = world.telling(kept_for_test(planted)), ExtractiveTeacher.explain

    def listened(teacher, case):
        read[case.disease, case.relevant] = case.evidence
        return explain(teacher, case)

    monkeypatch.setattr(ExtractiveTeacher, "explain", listened)

    def leaking(data):
        trained = [(pair.disease, pair.relevant) for pair in data.pairs if pair.split == "train"]
        return [one.id for key in trained for one in read[key] if told(world.passages[one.id])]

    assert leaking(planted_student()) == []
    _all_passages(monkeypatch)
    assert "told" in leaking(planted_student())


def test_what_a_teacher_knows_by_itself_is_cut_from_its_rationales(planted, planted_student, monkeypatch, tmp_path):
    drawn = planted_student().pairs
    said = "It helps. By contrast, the Other Name is given in ill0. That is all."
    rows = [{"disease": one.disease, "relevant": one.relevant, "irrelevant": one.irrelevant} for one in drawn]
    recorded = tmp_path / "said.jsonl"
    recorded.write_text("".join(json.dumps({**row, "rationale": said}) + "\n" for row in rows))
    world, edges = world_of(planted, planted / "texts.jsonl"), kept_for_test(planted)
    data = planted_student(rationales=str(recorded))
    assert leaks.in_rationales(data, world, edges) == []
    assert {row.question.reference for row in data.encoded["train"]} == {"It helps. That is all."}
    assert {row.question.reference for row in data.encoded["test"]} == {said}
    assert data.facts["sentences_withheld_from_rationales"] == sum(pair.split == "train" for pair in drawn)
    monkeypatch.setattr(LeakageFilter, "clean_rationales", lambda _, rationales: (rationales, 0))
    assert leaks.in_rationales(planted_student(rationales=str(recorded)), world, edges)


def test_no_drug_that_treats_in_the_test_is_irrelevant_in_training(planted, planted_student, monkeypatch, tmp_path):
    graph = load_graph(planted, Store(planted / "store"))
    settings = {"negatives": "random", "balanced": False, "split_by": "pair", "validation": 0.1, "test": 0.4}

    def leaking():
        found = []
        for seed in range(10):
            pairs = sample_pairs(graph, seed=seed, **settings)
            asked = {(pair.relevant, pair.disease) for pair in pairs if pair.split == "test"}
            found += [one for one in pairs if one.split != "test" and (one.irrelevant, one.disease) in asked]
        return found

    assert leaking() == []
    monkeypatch.setattr(drawing, "treating_drugs", lambda stated, kin: {disease: set() for _, disease in stated})
    assert leaking()

    # Pairs that are given are looked through.
    given = [
        Pair(DISEASE, "Compound::12", DRUG, "train", True, ""),
        Pair("Disease::MESH:D3", "Compound::3", DRUG, "test", True, ""),
    ]
    given.append(Pair("Disease::MESH:D1", "Compound::1", DRUG, "validation", True, ""))
    save_pairs(given, tmp_path / "pairs.parquet")
    with pytest.raises(KedrecError, match=rf"pairs\.parquet: a train pair calls {DRUG} irrelevant to {DISEASE}"):
        planted_student(pairs={"file": str(tmp_path / "pairs.parquet")})
    monkeypatch.setattr(question_data, "check_pairs", lambda *_: None)
    assert leaks.in_questions(planted_student(pairs={"file": str(tmp_path / "pairs.parquet")}), kept_for_test(planted))


@pytest.mark.usefixtures("fresh")
def test_likeness_of_drugs_sees_no_link_between_the_ends(planted, planted_student, monkeypatch):
    seen, embed = [], drawing.neighbourhood_embedding

    def watched(graph, without):
        named = [(graph.entities[head], graph.entities[tail]) for head, _, tail in graph.edges([PREVENTS]).tolist()]
        seen.append(named)
        return embed(graph, without=without)

    monkeypatch.setattr(drawing, "neighbourhood_embedding", watched)
    planted_student(pairs={"negatives": "similar"})
    assert seen == [[]]
    monkeypatch.setattr(drawing, "_without_held_out", lambda graph, _: graph)
    planted_student(pairs={"negatives": "similar"}, seed=1)
    assert seen == [[], [(DRUG, DISEASE)]]


def test_embeddings_that_were_trained_on_the_test_are_refused(planted, planted_student, monkeypatch, tmp_path):
    rows = np.random.default_rng(0).random((24, 8), dtype=np.float32)
    exported = SimpleNamespace(
        identity="x",
        held_out=set(),
        entity_rows={},
        rows=lambda asked: np.resize(rows, (len(asked), 8)),
        score=lambda *_: None,
        split=None,
    )
    monkeypatch.setattr(pair_source.Exported, "load", lambda _: exported)
    with pytest.raises(KedrecError, match=r"trained on 2 of the 2 treatments .*split\.tsv"):
        planted_student(pairs={"embeddings": "run", "negatives": "similar"})
    held = {tuple(line) for line in lines() if "Compound" in line[0] + line[2] and "Disease" in line[0] + line[2]}
    exported.held_out = {line for line in held if line[1] != PREVENTS}  # such as of a graph that its authors split
    with pytest.raises(KedrecError, match=r"trained on 1 of the 2 treatments .*split\.tsv"):
        planted_student(pairs={"embeddings": "run", "negatives": "similar"})

    # What a run's own split has held out is dropped under all relations, which held_out does not list.
    exported.split = planted / "split.tsv"
    data = planted_student(pairs={"embeddings": "run", "negatives": "similar"})
    assert data.facts["embeddings_were_trained_on"] == "0 of 2 test treatments"
    own = TreatmentSplit.load(planted / "split.tsv")
    exported.split = tmp_path / "split.tsv"
    replace(own, split_of={**own.split_of, (DRUG, DISEASE): "train"}).save(exported.split)
    with pytest.raises(KedrecError, match=r"trained on 1 of the 2 treatments .*split\.tsv"):
        planted_student(pairs={"embeddings": "run", "negatives": "similar"})
    replace(own, graph="0" * 64).save(exported.split)
    with pytest.raises(KedrecError, match=r"embeddings: that run is of another graph .*split\.tsv"):
        planted_student(pairs={"embeddings": "run", "negatives": "similar"})


def test_by_date_training_and_its_teacher_read_nothing_of_later_times(planted, planted_student, student, monkeypatch):
    years = {row["id"]: row["date"] for row in passages()}

    def data():
        return planted_student(split={"by": "date", "validation": 0.15, "test": 0.25})

    def late(made, split):
        cut = made.manifest.cuts[split].isoformat()
        shown = {one for row in made.encoded[split] for one in row.question.passages}
        return {one for one in shown if f"{years[one]}-12-31" >= cut}

    made = data()
    asked = {
        split: [made.manifest.dates[one.relevant, one.disease] for one in made.pairs if one.split == split]
        for split in ("train", "validation", "test")
    }
    assert max(asked["train"]) < min(asked["validation"]) <= max(asked["validation"]) < min(asked["test"])
    assert made.manifest.cuts["train"].year == int(min(asked["validation"]))
    assert made.facts["split"]["cuts"]["train"] == f"texts before {min(asked['validation'])}-12-31 alone"
    assert (late(made, "train"), late(made, "validation")) == (set(), set())
    assert any(row.question.passages for row in made.encoded["train"])
    _all_passages(monkeypatch)
    made = data()
    assert late(made, "train")
    assert late(made, "validation")


FEW = {"mentioned": True, "limits": {"train": 40, "validation": 4, "test": 8}}
SHARES = {"validation": 0.15, "test": 0.25}


@pytest.mark.parametrize("split_by", ["pair", "disease", "drug"])
def test_on_the_sample_student_and_graph_model_obey_one_split(student, tmp_path, split_by):
    graph, texts = SAMPLE / "triples.tsv", SAMPLE / "passages.jsonl"
    made = student(
        graph, texts, ("pmc", "clinical_trials"), split={"by": split_by, **SHARES}, chunk_tokens=10_000, pairs=FEW
    )
    made.manifest.save(tmp_path / "split.tsv")
    world, edges = world_of(graph, texts), made.manifest.of("test")
    assert len(edges) > 10
    assert in_student(made, world, edges) == []
    taken = triple_data(graph, split__file=str(tmp_path / "split.tsv"), noise__add=0.5)
    assert in_graph(taken, world, edges) == []
    assert taken.manifest.identity == made.manifest.identity


def test_on_the_sample_a_student_obeys_the_split_of_a_graph_model(student, tmp_path):
    graph, texts = SAMPLE / "triples.tsv", SAMPLE / "passages.jsonl"
    data = triple_data(graph, split__unseen_diseases=5, split__test=0.2, split__validation=0.1, noise__add=0.5)
    data.manifest.save(tmp_path / "split.tsv")
    world, edges = world_of(graph, texts), data.manifest.of("test")
    assert leaks.in_triples(data, world, edges) == []
    made = student(graph, texts, split={"file": str(tmp_path / "split.tsv")}, chunk_tokens=10_000, pairs=FEW)
    assert in_student(made, world, edges) == []
    assert made.manifest.identity == data.manifest.identity


def test_the_shipped_pairs_show_no_test_treatment(student):
    pairs = str(SAMPLE / "pairs.parquet")
    shipped = {"pairs": {"file": pairs}, "rationales": str(SAMPLE / "rationales.jsonl")}
    graph, texts = SAMPLE / "triples.tsv", SAMPLE / "passages.jsonl"
    made = student(graph, texts, ("pmc", "clinical_trials"), chunk_tokens=10_000, **shipped)
    world, edges = world_of(graph, texts), made.manifest.of("test")
    assert in_student(made, world, edges) == []
    assert {(pair.relevant, pair.disease) for pair in made.pairs if pair.split == "test"} <= edges
    assert leaks.in_triples(triple_data(graph, pairs__file=pairs, noise__add=0.5), world, edges) == []


@pytest.mark.slow
@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs KEDREC_REAL_DATA")
@pytest.mark.parametrize("split_by", ["disease", "date"])
def test_on_real_data_student_and_graph_model_obey_one_split(student, tmp_path, split_by):
    graph, texts = Path(os.environ["KEDREC_REAL_DATA"]) / "graph", tmp_path / "texts.jsonl"
    documents = islice(read_documents(graph.parent / "text" / "pubmed_abstracts.jsonl.zst"), 0, None, 24)
    fields = ("id", "source", "title", "text", "date")
    texts.write_text("".join(json.dumps({name: getattr(one, name) for name in fields}) + "\n" for one in documents))
    made = student(graph, texts, ("pmc",), split={"by": split_by, **SHARES}, chunk_tokens=10_000, pairs=FEW)
    made.manifest.save(tmp_path / "split.tsv")
    world, edges = world_of(graph, texts), made.manifest.of("test")
    assert len(edges) > 10
    assert in_student(made, world, edges) == []
    taken = triple_data(graph, split__file=str(tmp_path / "split.tsv"), noise__add=0.1)
    assert in_graph(taken, world, edges) == []
