"""The ranking of drugs against distances that are known."""

import pytest

from kedrec.commands.recommend.recommender import Recommender, Wanted
from kedrec.errors import KedrecError
from kedrec.storage.artifact_store import Store
from kedrec.training.loaded_run import open_run
from tests.support.known_distances_run import PALLIATES, TREATS, write_graph, write_run

NAMES = [
    ("Disease::DOID:1", "Ache", ""),
    ("Disease::MESH:D1", "ache", ""),
    ("Compound::a", "Alpha", ""),
    ("Compound::a2", "alpha", ""),
    ("Compound::b", "Beta", ""),
]
TRIPLES = [
    ("Compound::a", TREATS, "Disease::MESH:D1"),
    ("Compound::a2", PALLIATES, "Disease::DOID:1"),
    ("Compound::b", TREATS, "Disease::MESH:D1"),
    ("Compound::c", TREATS, "Disease::MESH:D2"),
    ("Compound::d", TREATS, "Disease::MESH:D2"),
    ("Compound::e", "S::x", "Gene::1"),
]
ROWS = {
    "Disease::MESH:D1": 0,
    "Disease::DOID:1": 10,
    "Disease::MESH:D2": 100,
    "Compound::a": 5,
    "Compound::a2": 9,
    "Compound::b": 2,
    "Compound::c": -1,
    "Compound::d": -1,
    "Compound::e": 90,
}


@pytest.fixture
def recommender(tmp_path):
    graph = write_graph(tmp_path / "graph", TRIPLES, NAMES)
    held = [("Compound::b", TREATS, "Disease::MESH:D1")]
    run = write_run(tmp_path / "run", graph, ROWS, held, relations=(TREATS, PALLIATES))
    return Recommender(open_run(run), None, Store(tmp_path / "store"))


def test_the_best_over_relations_and_namesakes_counts(recommender):
    ranked = recommender.rank("ACHE")
    assert ranked.disease.ids == ("Disease::MESH:D1", "Disease::DOID:1")
    assert ranked.disease.edges == 3
    found = [(one.drug, one.score) for one in ranked.candidates]
    assert found == [
        ("Compound::a", -1.0),  # as alpha's other id, to the disease's other id
        ("Compound::c", -1.0),  # equal scores by id
        ("Compound::d", -1.0),
        ("Compound::b", -2.0),
        ("Compound::e", -80.0),
    ]


def test_known_treatments_are_marked_and_counted_apart(recommender):
    found = recommender.rank("ache").candidates
    assert [one.known for one in found] == ["training", None, None, "held out", None]
    assert [one.rank for one in found] == [1, 2, 3, 4, 5]
    assert [one.new_rank for one in found] == [None, 1, 2, None, 3]
    assert [one.asked_rank for one in found] == [None, 1, 2, 3, 4]


def test_the_list_is_as_long_as_asked_with_or_without_the_known(recommender):
    ranked = recommender.rank("ache")
    listed = recommender.answer(ranked, Wanted(top=3, explain=0)).recommendations
    assert [one.candidate.drug for one in listed] == ["Compound::a", "Compound::c", "Compound::d"]
    assert listed[0].name == "Alpha"
    assert listed[0].confidence is None
    assert listed[1].confidence is not None
    dropped = recommender.answer(ranked, Wanted(top=3, explain=0, drop_known=True)).recommendations
    assert [one.candidate.drug for one in dropped] == ["Compound::c", "Compound::d", "Compound::e"]


def test_an_entity_of_another_graph_is_named(tmp_path, recommender):
    more = [*TRIPLES, ("Compound::b", TREATS, "Disease::MESH:D9")]
    graph = write_graph(tmp_path / "other", more, NAMES)
    other = Recommender(recommender.run, str(graph), Store(tmp_path / "store"))
    with pytest.raises(
        KedrecError, match="Disease::MESH:D9: not among the run's embeddings; give the run's own graph="
    ):
        other.rank("D9")
    strangers = write_graph(tmp_path / "strangers", [("Compound::z", TREATS, "Disease::MESH:D1")])
    with pytest.raises(KedrecError, match="none of the graph's drugs"):
        Recommender(recommender.run, str(strangers), Store(tmp_path / "store"))


def test_published_drugs_stand_beside_ours(tmp_path):
    graph = write_graph(tmp_path / "graph", TRIPLES, NAMES)
    case = {"disease": "Ache", "published": {"dee": "d", "missing": "DB9", "bee": "b"}}
    run = open_run(write_run(tmp_path / "run", graph, ROWS, case=case))
    recommender = Recommender(run, None, Store(tmp_path / "store"))
    published = recommender.answer(recommender.rank("ache"), Wanted(explain=0)).published
    assert [(one.place, one.drug) for one in published] == [(1, "dee"), (2, "missing"), (3, "bee")]
    assert published[0].candidate.new_rank == 2
    assert published[1].candidate is None
    assert published[2].candidate.known == "training"
    assert recommender.answer(recommender.rank("D2"), Wanted(explain=0)).published == ()


def test_scores_that_are_no_numbers_are_no_ranking(tmp_path):
    graph = write_graph(tmp_path / "graph", TRIPLES, NAMES)
    run = write_run(tmp_path / "run", graph, {**ROWS, "Compound::c": float("nan")})
    with pytest.raises(KedrecError, match="NaN or infinite scores"):
        Recommender(open_run(run), None, Store(tmp_path / "store")).rank("ache")
