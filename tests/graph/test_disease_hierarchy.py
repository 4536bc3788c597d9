import pytest

from kedrec.errors import KedrecError
from kedrec.graph.disease_hierarchy import load_kin
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.storage.artifact_store import Store
from tests.support.drawn_pairs import sample_pairs


def test_parents_and_children_are_kin_under_the_ids_that_are_kept(tmp_path):
    path = tmp_path / "hierarchy.tsv"
    path.write_text("child\tparent\nDisease::b\tDisease::a\tis_a\nDisease::c\tDisease::b\nDisease::B\tDisease::b\n")
    kin = load_kin(path, lambda entity: entity.lower().replace("disease", "Disease"))
    assert kin == {
        "Disease::a": {"Disease::b"},
        "Disease::b": {"Disease::a", "Disease::c"},
        "Disease::c": {"Disease::b"},
    }


@pytest.mark.parametrize("text", ["Disease::a\n", "Disease::a\tGene::1\n", "", "child\tparent\n"])
def test_a_bad_hierarchy_is_named(tmp_path, text):
    path = tmp_path / "hierarchy.tsv"
    path.write_text(text)
    with pytest.raises(KedrecError, match=r"hierarchy\.tsv"):
        load_kin(path, str)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("negatives", ["random", "similar", "popular"])
def test_what_treats_a_parent_or_a_child_is_not_irrelevant(tmp_path, negatives, balanced):
    drugs, diseases = 24, 12
    edges = [(drug, (drug + step) % diseases) for drug in range(drugs) for step in (0, 5)]
    lines = [f"Compound::{drug}\t{THERAPEUTIC[0]}\tDisease::{disease}\n" for drug, disease in edges]
    lines += [f"Compound::{drug}\tHetionet::CbG::Compound:Gene\tGene::{drug % 5}\n" for drug in range(drugs)]
    (tmp_path / "triples.tsv").write_text("".join(lines))
    graph = load_graph(tmp_path, Store(tmp_path / "store"))
    settings = {"negatives": negatives, "balanced": balanced, "split_by": "pair", "validation": 0.2, "test": 0.2}
    kin = {
        f"Disease::{n}": {f"Disease::{(n + 1) % diseases}", f"Disease::{(n - 1) % diseases}"} for n in range(diseases)
    }

    def of_kin(pairs):
        treats = {(f"Compound::{drug}", f"Disease::{disease}") for drug, disease in edges}
        return [pair for pair in pairs if any((pair.irrelevant, other) in treats for other in kin[pair.disease])]

    assert of_kin(sample_pairs(graph, seed=0, **settings))  # without the hierarchy it happens
    pairs = sample_pairs(graph, seed=0, kin=kin, **settings)
    assert len(pairs) > len(edges) / 2
    assert not of_kin(pairs)
