import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.splits.pairs import Pair
from kedrec.splits.split_creation import split_by_shares, split_from_pairs
from kedrec.splits.triple_partition import TriplePartition, partition_triples
from kedrec.storage.artifact_store import Store
from tests.support.drawn_pairs import sample_pairs

TREATS, CTD = THERAPEUTIC[:2]
REVERSE = "DRUGBANK::treats::Disease:Compound"
PREVENTS = "GNBR::Pr::Compound:Disease"
BINDS = "Hetionet::CbG::Compound:Gene"
RELATIONS = ("DRUGBANK::treats", CTD)
SETTINGS = {"validation": 0.1, "test": 0.2, "unseen_diseases": 5, "seed": 0}


def _lines(seed=0, diseases=40, drugs=60):
    """Pairs stated once, twice or tail first, some prevented as well; genes of drugs and of diseases."""
    rng = random.Random(seed)
    for drug in range(drugs):
        for disease in rng.sample(range(diseases), 3):
            edge = (f"Compound::{drug}", f"Disease::{disease}")
            yield edge[0], TREATS, edge[1]
            if rng.random() < 0.3:
                yield edge[0], CTD, edge[1]
            if rng.random() < 0.3:
                yield edge[1], rng.choice([TREATS, REVERSE]), edge[0]
            if rng.random() < 0.3:
                yield edge[0], PREVENTS, edge[1]
        yield f"Compound::{drug}", PREVENTS, "Disease::not treated"
        for gene in rng.sample(range(20), 4):
            yield f"Compound::{drug}", BINDS, f"Gene::{gene}"
    for disease in range(diseases):
        yield f"Disease::{disease}", "Hetionet::DaG::Disease:Gene", f"Gene::{disease % 20}"


def _graph(folder, lines):
    folder.mkdir(exist_ok=True)
    (folder / "triples.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    return load_graph(folder, Store(folder / "store"))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return _graph(tmp_path_factory.mktemp("graph"), _lines())


def _hold_out(graph, relations, **settings):
    """The triples by a split of shares."""
    return partition_triples(graph, relations, split_by_shares(NamedGraph(graph), relations, **settings))


def _parts(split):
    return {"train": split.train, "validation": split.validation, **split.tests}


def _named(graph, triples):
    return {(graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in triples}


def _pairs(graph, triples, relations=None):
    """(drug, disease) of the triples, whichever is the head."""
    named = _named(graph, triples)
    return {
        (min(h, t), max(h, t))
        for h, r, t in named
        if (relations is None or r in relations) and {h.split("::")[0], t.split("::")[0]} == {"Compound", "Disease"}
    }


@pytest.mark.parametrize("seed", range(4))
def test_no_pair_is_on_two_sides_and_each_triple_on_one(graph, seed):
    split = _hold_out(graph, RELATIONS, **{**SETTINGS, "seed": seed})
    parts = _parts(split)
    assert list(parts) == ["train", "validation", "pairs", "diseases"]
    assert all(triples.dtype == np.int32 for triples in parts.values())
    everything = [triple for triples in parts.values() for triple in _named(graph, triples)]
    assert len(everything) == len(set(everything))
    dropped = _named(graph, graph.triples) - set(everything)
    assert len(dropped) == split.dropped
    assert {relation for _, relation, _ in dropped} == {PREVENTS}
    apart = [_pairs(graph, triples) for triples in parts.values()]
    assert all(apart)
    assert sum(map(len, apart)) == len(set().union(*apart))


def test_the_shares_are_met_and_only_therapeutic_triples_are_held_out(graph):
    parts = _parts(_hold_out(graph, RELATIONS, **SETTINGS))
    therapeutic = {TREATS, REVERSE, CTD}
    of = {name: _pairs(graph, triples, therapeutic) for name, triples in parts.items()}
    left = 180 - len(of["diseases"])
    assert {name: len(pairs) for name, pairs in of.items()} == {
        "train": left - round(0.1 * left) - round(0.2 * left),
        "validation": round(0.1 * left),
        "pairs": round(0.2 * left),
        "diseases": 180 - left,
    }
    for name in ("validation", "pairs", "diseases"):
        assert {relation for _, relation, _ in _named(graph, parts[name])} <= therapeutic
        order = [np.flatnonzero((graph.triples == triple).all(axis=1))[0] for triple in parts[name]]
        assert order == sorted(order)


def test_held_out_diseases_are_in_no_other_part(graph):
    split = _hold_out(graph, RELATIONS, **SETTINGS)
    unseen = {disease for _, disease in _pairs(graph, split.tests["diseases"])}
    assert len(unseen) == 5
    for name in ("train", "validation", "pairs"):
        assert not unseen & {disease for _, disease in _pairs(graph, _parts(split)[name], {TREATS, REVERSE, CTD})}
    # What is known of them beside their drugs stays.
    assert unseen <= {head for head, relation, _ in _named(graph, split.train) if relation.startswith("Hetionet::DaG")}


def test_the_order_of_the_file_and_global_state_do_not_matter(graph, tmp_path):
    lines = list(_lines())
    random.Random(5).shuffle(lines)
    shuffled = _graph(tmp_path / "shuffled", lines)
    assert shuffled.entities != graph.entities
    first = {name: _named(graph, part) for name, part in _parts(_hold_out(graph, RELATIONS, **SETTINGS)).items()}
    np.random.seed(3)
    second = _parts(_hold_out(shuffled, RELATIONS[::-1], **SETTINGS))
    assert {name: _named(shuffled, part) for name, part in second.items()} == first
    other = _hold_out(graph, RELATIONS, **{**SETTINGS, "seed": 1})
    assert all(_named(graph, part) != first[name] for name, part in _parts(other).items())


@pytest.mark.parametrize(("split_by", "unseen", "name"), [("pair", 0, "pairs"), ("disease", 8, "diseases")])
def test_what_is_held_out_is_what_sample_pairs_tests(graph, split_by, unseen, name):
    split = _hold_out(graph, RELATIONS, validation=0.1, test=0 if unseen else 0.2, unseen_diseases=unseen, seed=3)
    rest = {"negatives": "random", "balanced": False, "validation": 0.1, "test": 0.2, "seed": 3}
    pairs = sample_pairs(graph, relations=RELATIONS, split_by=split_by, **rest)
    assert {(pair.relevant, pair.disease) for pair in pairs if pair.split == "test"} == _pairs(graph, split.tests[name])


@pytest.mark.parametrize(("test", "unseen", "names"), [(0.2, 0, ["pairs"]), (0, 5, ["diseases"])])
def test_a_test_set_that_is_not_asked_for_is_not_there(graph, test, unseen, names):
    split = _hold_out(graph, RELATIONS, validation=0, test=test, unseen_diseases=unseen, seed=0)
    assert list(split.tests) == names
    assert split.validation.shape == (0, 3)


def test_other_relations_between_a_held_out_pair_are_dropped_or_counted(graph):
    split = _hold_out(graph, RELATIONS, **SETTINGS)
    tested = _pairs(graph, np.concatenate([*split.tests.values()]))
    leaking = [triple for triple in graph.edges([PREVENTS]) if _pairs(graph, [triple]) & tested]
    assert split.leaking == 0
    assert replace(split, train=np.concatenate([split.train, leaking])).leaking == len(leaking) > 0
    validated = _pairs(graph, split.validation)
    others = sum(bool(_pairs(graph, [edge]) & validated) for edge in graph.edges([PREVENTS]))
    assert split.dropped == len(leaking) + others
    # A therapeutic relation that is not tested leaks the answer as well.
    few = _hold_out(graph, ["DRUGBANK::treats"], **SETTINGS)
    assert _pairs(graph, graph.triples, {CTD}) & _pairs(graph, np.concatenate([*few.tests.values()]))
    assert not _pairs(graph, few.train, {CTD}) & _pairs(graph, np.concatenate([*few.tests.values()]))
    assert not few.leaking


def test_tested_entities_that_training_lacks_are_counted_and_kept(tmp_path):
    lines = [("Compound::a", TREATS, f"Disease::{number}") for number in range(10)]
    lines += [("Compound::a", BINDS, "Gene::1"), ("Disease::3", "Hetionet::DaG::Disease:Gene", "Gene::1")]
    graph = _graph(tmp_path / "g", lines)
    for seed in range(6):
        settings = {"validation": 0, "test": 0.2, "unseen_diseases": 3, "seed": seed}
        split = _hold_out(graph, [TREATS], **settings)
        asked = {disease for _, disease in _pairs(graph, np.concatenate([*split.tests.values()]))}
        assert len(asked) == 4
        assert split.unseen_entities == len(asked - {"Disease::3"})
    known = TriplePartition(graph.triples, graph.triples[:0], {"test": graph.triples[:4]}, 0)
    assert (known.unseen_entities, known.leaking) == (0, 4)
    bare = TriplePartition(graph.triples[-1:], graph.triples[:0], {"test": graph.triples[:4]}, 0)
    assert (bare.unseen_entities, bare.leaking) == (4, 0)  # both ends of three of them, the head alone of one


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"test": 0, "unseen_diseases": 0}, "test and unseen_diseases are both 0"),
        ({"unseen_diseases": 40}, "unseen_diseases is 40, but the graph has 40 diseases.* 0 to 39"),
        ({"unseen_diseases": -1}, "unseen_diseases is -1"),
        ({"test": 0.95}, r"validation 0\.1 and test 0\.95"),
        ({"relations": ["DRUGBANK::treat"]}, "did you mean 'DRUGBANK::treats'"),
        ({"relations": [BINDS]}, f"no triple of {BINDS} links a compound to a disease"),
    ],
)
def test_what_cannot_be_held_out_is_refused(graph, change, expected):
    with pytest.raises(KedrecError, match=expected):
        _hold_out(graph, **{"relations": RELATIONS, **SETTINGS, **change})


@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs the real data")
def test_sizes_on_the_real_graph(tmp_path):
    graph = load_graph(Path(os.environ["KEDREC_REAL_DATA"]) / "graph", Store(tmp_path))
    split = _hold_out(graph, THERAPEUTIC, validation=0.02, test=0.05, unseen_diseases=40, seed=0)
    sizes = {name: len(triples) for name, triples in _parts(split).items()}
    assert sizes == {"train": 705_838, "validation": 200, "pairs": 499, "diseases": 330}
    assert (split.dropped, split.leaking, split.unseen_entities) == (0, 0, 198)
    assert TriplePartition(split.train, split.train[:0], {"asked": split.validation}, 0).leaking == 0


def _hold_out_pairs(graph, pairs):
    """The triples by the split that pairs imply; ``Disease::twin`` has the name of ``Disease::0``."""
    named = NamedGraph(graph, {one: EntityInfo("ill", (), "") for one in ("Disease::0", "Disease::twin")})
    return partition_triples(graph, RELATIONS, split_from_pairs(named, RELATIONS, pairs), named.canonical_rows)


@pytest.mark.parametrize("split_by", ["disease", "pair"])
@pytest.mark.parametrize("seed", range(3))
def test_what_a_students_pairs_ask_is_in_no_training_triple(graph, seed, split_by):
    settings = {"negatives": "random", "balanced": True, "split_by": split_by, "validation": 0.1, "test": 0.2}
    pairs = sample_pairs(graph, relations=RELATIONS, seed=seed, **settings)
    split = _hold_out_pairs(graph, pairs)
    trained = _pairs(graph, split.train)
    asked = {
        name: {(one.relevant, one.disease) for one in pairs if one.split == name} for name in ("validation", "test")
    }
    assert asked["test"] <= _pairs(graph, split.tests["pairs"])
    assert asked["validation"] <= _pairs(graph, split.validation)
    assert not trained & (asked["test"] | asked["validation"])
    if split_by == "disease":
        diseases = {disease for _, disease in asked["test"] | asked["validation"]}
        assert not diseases & {disease for _, disease in trained}
    else:
        assert {(one.relevant, one.disease) for one in pairs if one.split == "train"} <= trained


def test_a_treatment_planted_under_a_namesake_a_reverse_or_another_relation_is_held_out_too(tmp_path):
    drug, reverse = "Compound::1", ("Disease::0", REVERSE, "Compound::1")
    planted = [(drug, TREATS, "Disease::0"), (drug, CTD, "Disease::twin"), reverse, (drug, PREVENTS, "Disease::twin")]
    graph = _graph(tmp_path, [*planted, (drug, TREATS, "Disease::1"), ("Compound::2", TREATS, "Disease::1")])
    pair = Pair("Disease::0", drug, "Compound::2", "test", True, "")
    split = _hold_out_pairs(graph, [pair])
    held = {(h, t) for h, _, t in _named(graph, split.tests["pairs"])}
    assert held == {(drug, "Disease::0"), (drug, "Disease::twin"), ("Disease::0", drug)}
    assert split.dropped == 1  # the other relation
    assert _pairs(graph, split.train) == {(drug, "Disease::1"), ("Compound::2", "Disease::1")}


def test_pairs_of_another_graph_are_refused(graph):
    with pytest.raises(KedrecError, match=r"no triple of .* for any treatment of the test split"):
        _hold_out_pairs(graph, [Pair("Disease::x", "Compound::1", "Compound::2", "test", True, "")])


def test_a_disease_that_no_training_pair_asks_about_loses_every_link_to_a_drug(tmp_path):
    lines = [("Compound::1", TREATS, "Disease::0"), ("Compound::2", PREVENTS, "Disease::0")]
    graph = _graph(tmp_path, [*lines, ("Compound::2", TREATS, "Disease::1"), ("Compound::1", PREVENTS, "Disease::1")])
    tested = Pair("Disease::0", "Compound::1", "Compound::2", "test", True, "")
    trained = Pair("Disease::1", "Compound::2", "Compound::1", "train", True, "")
    split = _hold_out_pairs(graph, [tested, trained])
    assert split.dropped == 1
    assert _named(graph, split.train) == {
        ("Compound::2", TREATS, "Disease::1"),
        ("Compound::1", PREVENTS, "Disease::1"),
    }
