"""Drugs as trained models place them, read from run folders."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kedrec.errors import KedrecError
from kedrec.graph.drug_embeddings import embeddings_hash, popularity_vectors, run_embedding
from kedrec.graph.knowledge_graph import load_graph
from kedrec.store import Store

IDS = ["Gene::1", "Compound::b", "Compound::z", "Compound::a"]


@pytest.fixture
def graph(tmp_path):
    lines = ["Compound::a\tr\tGene::1", "Compound::b\tr\tGene::1", "Compound::c\tr\tDisease::d"]
    (tmp_path / "triples.tsv").write_text("".join(f"{line}\n" for line in lines))
    return load_graph(tmp_path, Store(tmp_path / "store"))


def _run(folder, ids=IDS, name="entity"):
    place = folder / "run" / "embeddings"
    place.mkdir(parents=True)
    save_file({name: torch.arange(12.0).view(4, 3)}, place / "embeddings.safetensors")
    (place / "entities.tsv").write_text("".join(f"{one}\n" for one in ids))
    return folder / "run"


@pytest.mark.parametrize("part", ["", "embeddings"])
def test_rows_come_in_the_order_of_the_graphs_compounds(graph, tmp_path, part, caplog):
    rows = run_embedding(_run(tmp_path) / part, graph)
    by_name = {graph.entities[row]: rows[place].tolist() for place, row in enumerate(graph.of_type("Compound"))}
    assert by_name == {"Compound::a": [9, 10, 11], "Compound::b": [3, 4, 5], "Compound::c": [0, 0, 0]}
    assert "lacks 1 of the graph's 3 compounds" in caplog.text


def test_the_hash_is_of_the_rows(tmp_path):
    first = embeddings_hash(_run(tmp_path / "one"))
    assert first == embeddings_hash(_run(tmp_path / "two"))
    assert first != embeddings_hash(_run(tmp_path / "three", name="other"))


def test_what_cannot_be_used_is_refused(graph, tmp_path):
    with pytest.raises(KedrecError, match=r"embeddings\.safetensors: no such file"):
        run_embedding(tmp_path, graph)
    with pytest.raises(KedrecError, match=r"embeddings\.safetensors: no such file; expected the folder"):
        embeddings_hash(tmp_path)
    with pytest.raises(KedrecError, match="its tensors are relation"):
        run_embedding(_run(tmp_path / "a", name="relation"), graph)
    with pytest.raises(KedrecError, match=r"entities\.tsv: 3 lines for 4 rows"):
        run_embedding(_run(tmp_path / "b", ids=IDS[:3]), graph)
    with pytest.raises(KedrecError, match="none of the graph's 3 compounds is there"):
        run_embedding(_run(tmp_path / "c", ids=["w", "x", "y", "z"]), graph)


def test_equally_popular_drugs_lie_together_and_others_the_farther_the_more_they_differ():
    stated = [("a", "1"), ("b", "1"), *[("c", str(one)) for one in range(3)], *[("d", str(one)) for one in range(50)]]
    vectors = popularity_vectors(stated)
    cosine = {other: float(vectors["a"] @ vectors[other]) for other in "abcd"}
    assert cosine["a"] == cosine["b"] == pytest.approx(1)
    assert cosine["b"] > cosine["c"] > cosine["d"] == pytest.approx(0, abs=1e-6)
    assert all(np.linalg.norm(vector) == pytest.approx(1) for vector in vectors.values())
