import os
from pathlib import Path

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.similarity import nearest_first, neighbourhood_embedding
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.storage.artifact_store import Store

TREATS = THERAPEUTIC[0]


def _graph(tmp_path, lines):
    path = tmp_path / "triples.tsv"
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return load_graph(path, Store(tmp_path / "store"))


def _families(families=6, members=5):
    """Drugs of one family bind the same three genes; the first member of each also binds one of the next family."""
    for family in range(families):
        for member in range(members):
            drug = f"Compound::{family}.{member}"
            for gene in range(3):
                yield drug, "binds::Compound:Gene", f"Gene::{family}.{gene}"
            yield f"Gene::{family}.0", "DGIDB::INHIBITOR::Gene:Compound", drug
        yield f"Compound::{family}.0", "binds::Compound:Gene", f"Gene::{(family + 1) % families}.0"


@pytest.mark.parametrize("dim", [256, 512])
def test_drugs_with_the_same_neighbours_are_near(tmp_path, dim):
    graph = _graph(tmp_path, _families())
    rows = neighbourhood_embedding(graph, without=[], dim=dim)
    assert rows.shape == (30, dim)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    family = np.array([graph.entities[row].split(".")[0] for row in graph.of_type("Compound")])
    likeness = rows @ rows.T
    same = family[:, None] == family[None, :]
    assert likeness[same].min() > likeness[~same].max()


def test_therapeutic_edges_do_not_reach_the_embedding(tmp_path):
    plain = list(_families())
    leak = [(f"Compound::{i}.1", TREATS, "Disease::shared") for i in range(6)]
    reverse = [("Disease::shared", "DRUGBANK::treats::Disease:Compound", f"Compound::{i}.2") for i in range(6)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    clean = neighbourhood_embedding(_graph(tmp_path / "a", plain), without=[], dim=8)
    tainted = _graph(tmp_path / "b", [*plain, *leak, *reverse])
    assert np.array_equal(clean, neighbourhood_embedding(tainted, without=tainted.match_relations([TREATS]), dim=8))
    assert not np.allclose(clean, neighbourhood_embedding(tainted, without=[], dim=8))


def test_a_drug_that_shares_nothing_is_a_zero_row_and_a_second_run_is_the_same(tmp_path):
    graph = _graph(tmp_path, [*_families(), ("Compound::alone", "binds::Compound:Gene", "Gene::its own")])
    first = neighbourhood_embedding(graph, without=[], dim=4)
    np.random.seed(7)
    assert np.array_equal(first, neighbourhood_embedding(graph, without=[], dim=4))
    assert not first[graph.of_type("Compound").tolist().index(graph.entity_rows["Compound::alone"])].any()


def test_compounds_linked_to_compounds_count_in_both_directions(tmp_path):
    lines = [(f"Compound::{name}", "resembles::Compound:Compound", "Compound::hub") for name in "ab"]
    lines += [("Compound::hub2", "resembles::Compound:Compound", f"Compound::{name}") for name in "cd"]
    graph = _graph(tmp_path, lines)
    rows = neighbourhood_embedding(graph, without=[], dim=512)
    at = {graph.entities[row]: rows[place] for place, row in enumerate(graph.of_type("Compound"))}
    assert at["Compound::a"] @ at["Compound::b"] == pytest.approx(1)
    assert at["Compound::c"] @ at["Compound::d"] == pytest.approx(1)
    assert at["Compound::a"] @ at["Compound::c"] == pytest.approx(0, abs=0.2)


def test_nothing_to_compare_is_refused(tmp_path):
    graph = _graph(tmp_path, [("Compound::a", TREATS, "Disease::z"), ("Compound::b", TREATS, "Disease::z")])
    with pytest.raises(KedrecError, match="no two drugs share a neighbour"):
        neighbourhood_embedding(graph, without=[TREATS])


def test_nearest_first_ranks_by_cosine_over_blocks_and_keeps_ties_in_order():
    rng = np.random.default_rng(1)
    names = [f"Compound::{number}" for number in rng.permutation(600)]
    vectors = rng.standard_normal((600, 5))
    vectors[7] = 3 * vectors[3]
    vectors[9] = 0
    ranked = nearest_first(names, vectors)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    for place in (3, 100, 599):
        likeness = unit @ unit[place]
        assert np.all(np.diff(likeness[ranked(names[place])]) < 2e-5)
    assert ranked(names[7])[:2].tolist() == [3, 7]
    assert ranked(names[9]).tolist() == list(range(600))


@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs the real data")
def test_statins_are_alike_in_the_real_graph(tmp_path):
    graph = load_graph(Path(os.environ["KEDREC_REAL_DATA"]) / "graph", Store(tmp_path))
    rows = neighbourhood_embedding(graph, without=graph.match_relations(THERAPEUTIC, optional=THERAPEUTIC))
    place = {graph.entities[row]: at for at, row in enumerate(graph.of_type("Compound"))}
    simvastatin, lovastatin, metformin = (
        rows[place[f"Compound::DB{number}"]] for number in ("00641", "00227", "00331")
    )
    assert simvastatin @ lovastatin > 0.3
    assert simvastatin @ lovastatin > simvastatin @ metformin + 0.2
