import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.splits.pairs import load_pairs, save_pairs
from kedrec.splits.seeded_split import SPLITS
from kedrec.storage.artifact_store import Store
from tests.support.drawn_pairs import sample_pairs

TREATS, CTD = THERAPEUTIC[:2]
REVERSE = "DRUGBANK::treats::Disease:Compound"
SETTINGS = {"negatives": "random", "balanced": False, "split_by": "disease", "validation": 0.1, "test": 0.2, "seed": 0}


def _lines(seed=0, diseases=40, drugs=60):
    """Each drug treats a few diseases and binds a few genes; some edges come twice or are stored tail first."""
    rng = random.Random(seed)
    for drug in range(drugs):
        for disease in rng.sample(range(diseases), 3):
            edge = (f"Compound::{drug}", f"Disease::{disease}")
            yield edge[0], TREATS, edge[1]
            if rng.random() < 0.3:
                yield edge[0], CTD, edge[1]
            if rng.random() < 0.3:
                yield edge[1], rng.choice([TREATS, REVERSE]), edge[0]
        for gene in rng.sample(range(20), 4):
            yield f"Compound::{drug}", "Hetionet::CbG::Compound:Gene", f"Gene::{gene}"
    for drug in range(drugs, drugs + 10):
        yield f"Compound::{drug}", "Hetionet::CbG::Compound:Gene", "Gene::0"


def _graph(folder, lines):
    folder.mkdir(exist_ok=True)
    (folder / "triples.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    return load_graph(folder, Store(folder / "store"))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return _graph(tmp_path_factory.mktemp("graph"), _lines())


def _true(graph):
    """(drug, disease) of each therapeutic edge, either direction."""
    rows = graph.edges([r for r in graph.relations if r in (*THERAPEUTIC, REVERSE)])
    ends = [sorted((graph.entities[h], graph.entities[t])) for h, _, t in rows]
    return {(drug, disease) for drug, disease in ends}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("negatives", ["random", "similar", "popular"])
@pytest.mark.parametrize("split_by", ["pair", "disease", "drug"])
def test_the_rules_hold_for_every_setting(graph, split_by, negatives, balanced, seed):
    settings = {**SETTINGS, "split_by": split_by, "negatives": negatives, "balanced": balanced, "seed": seed}
    pairs = sample_pairs(graph, **settings)
    true = _true(graph)
    drugs = {drug for drug, _ in true}
    assert len({(pair.relevant, pair.disease) for pair in pairs}) == len(pairs)
    left_out = len(true) - len(pairs)
    if split_by != "drug":
        # A disease with more than half of a split's edges leaves too few drugs to deal out.
        assert left_out <= (2 if balanced else 0)
    for pair in pairs:
        assert (pair.relevant, pair.disease) in true
        assert (pair.irrelevant, pair.disease) not in true
        assert pair.irrelevant in drugs
    by_split = {name: [pair for pair in pairs if pair.split == name] for name in ("train", "validation", "test")}
    for members in by_split.values():
        assert members
        assert abs(2 * sum(pair.relevant_first for pair in members) - len(members)) <= 1
        if balanced:
            surplus = Counter(pair.irrelevant for pair in members)
            surplus.subtract(pair.relevant for pair in members)
            assert sum(map(abs, surplus.values())) <= (2 * left_out if split_by != "drug" else 0)
    if split_by == "disease":
        apart = [{pair.disease for pair in members} for members in by_split.values()]
    elif split_by == "drug":
        apart = [
            {drug for pair in members for drug in (pair.relevant, pair.irrelevant)} for members in by_split.values()
        ]
    else:
        apart = [{(pair.relevant, pair.disease) for pair in members} for members in by_split.values()]
    assert sum(map(len, apart)) == len(set().union(*apart))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("negatives", ["random", "similar", "popular"])
def test_the_order_of_the_file_and_global_state_do_not_matter(graph, tmp_path, negatives, balanced):
    lines = list(_lines())
    random.Random(5).shuffle(lines)
    settings = {**SETTINGS, "negatives": negatives, "balanced": balanced}
    first = sample_pairs(graph, **settings)
    np.random.seed(3)
    random.seed(3)
    assert sample_pairs(_graph(tmp_path / "shuffled", lines), **settings) == first
    assert sample_pairs(graph, **{**settings, "seed": 1}) != first


def test_a_drug_known_by_another_therapeutic_relation_is_never_irrelevant(tmp_path):
    lines = [("Compound::a", TREATS, f"Disease::{i}") for i in range(4)]
    lines += [("Compound::b", CTD, f"Disease::{i}") for i in range(3)]
    lines += [(f"Disease::{i}", REVERSE, "Compound::c") for i in range(3)]
    lines += [(f"Disease::{i}", TREATS, "Compound::d") for i in range(3)]
    graph = _graph(tmp_path / "g", [*lines, ("Compound::e", "GNBR::T::Compound:Disease", "Disease::3")])
    pairs = sample_pairs(graph, relations=["DRUGBANK::treats"], **SETTINGS)
    assert {pair.relevant for pair in pairs} == {"Compound::a", "Compound::c", "Compound::d"}
    for pair in pairs:
        assert pair.irrelevant in (
            {"Compound::e"} if pair.disease != "Disease::3" else {f"Compound::{x}" for x in "bcd"}
        )


def test_provenance_names_each_relation_and_the_kind_of_negative(tmp_path):
    lines = [("Compound::a", TREATS, "Disease::x"), ("Compound::a", CTD, "Disease::x")]
    lines += [("Compound::b", TREATS, "Disease::y"), ("Disease::z", REVERSE, "Compound::b")]
    pairs = sample_pairs(_graph(tmp_path / "g", lines), **SETTINGS)
    assert {(pair.relevant, pair.disease[-1]): pair.provenance for pair in pairs} == {
        ("Compound::a", "x"): f"{TREATS}|{CTD};random",
        ("Compound::b", "y"): f"{TREATS};random",
        ("Compound::b", "z"): f"{REVERSE};random",
    }


def test_similar_draws_among_the_nearest_that_may_be_irrelevant(graph):
    compounds = [graph.entities[row] for row in graph.of_type("Compound")]
    angle = np.array([int(name.split("::")[1]) for name in compounds]) / 100
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + angle[:, None])  # length must not matter
    settings = {**SETTINGS, "negatives": "similar", "embedding": circle, "hardness": (0, 4)}
    treated = {}
    for drug, disease in _true(graph):
        treated.setdefault(disease, set()).add(drug)
    drugs = {drug for drug, _ in _true(graph)}
    ranks = Counter()
    for pair in sample_pairs(graph, **settings):
        number = int(pair.relevant.split("::")[1])
        free = drugs - treated[pair.disease]
        distance = sorted(abs(int(name.split("::")[1]) - number) for name in free)
        here = abs(int(pair.irrelevant.split("::")[1]) - number)
        assert here <= distance[3]
        ranks[distance.index(here)] += 1
    assert len(ranks) > 1  # drawn, not always the nearest


def test_hardness_is_the_window_of_ranks_that_are_drawn_from(graph):
    compounds = [graph.entities[row] for row in graph.of_type("Compound")]
    angle = np.array([int(name.split("::")[1]) for name in compounds]) / 100
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    treated = {}
    for drug, disease in _true(graph):
        treated.setdefault(disease, set()).add(drug)
    drugs = {drug for drug, _ in _true(graph)}
    drawn = {}
    for window in ((0, 2), (20, 24), (500, 600)):
        for pair in sample_pairs(graph, **SETTINGS | {"negatives": "similar"}, embedding=circle, hardness=window):
            number = int(pair.relevant.split("::")[1])
            free = drugs - treated[pair.disease]
            nearer = sum(
                abs(int(name.split("::")[1]) - number) < abs(int(pair.irrelevant.split("::")[1]) - number)
                for name in free
            )
            drawn.setdefault(window, []).append((nearer, len(free)))
    assert max(nearer for nearer, _ in drawn[0, 2]) <= 1
    assert all(19 <= nearer <= 23 for nearer, _ in drawn[20, 24])  # two may be equally near
    assert all(nearer >= free - 2 for nearer, free in drawn[500, 600])  # the farthest, where there are fewer


def test_popular_draws_drugs_that_treat_as_many_diseases(tmp_path):
    rng = random.Random(0)
    lines = [
        (f"Compound::{drug}", TREATS, f"Disease::{disease}")
        for drug in range(80)
        for disease in rng.sample(range(60), 1 + 3 * (drug % 8))
    ]
    graph = _graph(tmp_path, lines)

    def difference(negatives):
        pairs = sample_pairs(graph, **SETTINGS | {"negatives": negatives})
        # As many of those that its split may know: one in training counts nothing of the test.
        times = {
            name: Counter(pair.relevant for pair in pairs if pair.split in SPLITS[: at + 1])
            for at, name in enumerate(SPLITS)
        }
        return np.mean([abs(times[one.split][one.relevant] - times[one.split][one.irrelevant]) for one in pairs])

    assert difference("popular") < 0.2 * difference("random")


def test_a_balanced_deal_is_the_most_similar_there_is(graph):
    compounds = [graph.entities[row] for row in graph.of_type("Compound")]
    vectors = np.random.default_rng(0).normal(size=(len(compounds), 3))
    unit = dict(zip(compounds, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))
    pairs = sample_pairs(graph, **{**SETTINGS, "negatives": "similar", "balanced": True}, embedding=vectors)
    train = [pair for pair in pairs if pair.split == "train"]
    true = _true(graph)
    for one in train:  # exchanging the irrelevant drugs of two pairs never gains, where it is allowed at all
        for two in train:
            if (two.irrelevant, one.disease) not in true and (one.irrelevant, two.disease) not in true:
                have = unit[one.relevant] @ unit[one.irrelevant] + unit[two.relevant] @ unit[two.irrelevant]
                other = unit[one.relevant] @ unit[two.irrelevant] + unit[two.relevant] @ unit[one.irrelevant]
                assert have >= other - 1e-4


def test_what_a_balanced_deal_has_no_drug_for_is_left_out(tmp_path, caplog):
    lines = [("Compound::a", TREATS, f"Disease::{disease}") for disease in range(6)]
    lines.append(("Compound::b", TREATS, "Disease::6"))
    settings = {**SETTINGS, "validation": 0, "test": 0, "split_by": "pair"}
    pairs = sample_pairs(_graph(tmp_path / "g", lines), **{**settings, "balanced": True})
    assert sorted((pair.relevant, pair.irrelevant) for pair in pairs) == [
        ("Compound::a", "Compound::b"),
        ("Compound::b", "Compound::a"),
    ]
    assert "5 pairs are left out" in caplog.text


def test_an_embedding_of_another_size_is_refused(graph):
    with pytest.raises(KedrecError, match="3 rows, but the graph has 70 compounds"):
        sample_pairs(graph, **{**SETTINGS, "negatives": "similar"}, embedding=np.ones((3, 2)))


def test_random_negatives_are_about_uniform(graph):
    counts = Counter()
    for seed in range(30):
        counts.update(pair.irrelevant for pair in sample_pairs(graph, **{**SETTINGS, "seed": seed}))
    expected = sum(counts.values()) / 60
    assert len(counts) == 60
    assert all(abs(count - expected) < 6 * expected**0.5 for count in counts.values())


def test_limits_cap_each_split_and_keep_the_order_balanced(graph):
    full = sample_pairs(graph, **SETTINGS)
    cut = sample_pairs(graph, **SETTINGS, limit={"train": 20, "test": 7})
    assert Counter(pair.split for pair in cut)["train"] == 20
    assert Counter(pair.split for pair in cut)["test"] == 7
    kept = {(pair.relevant, pair.disease, pair.irrelevant, pair.split) for pair in full}
    assert {(pair.relevant, pair.disease, pair.irrelevant, pair.split) for pair in cut} <= kept
    assert sum(pair.relevant_first for pair in cut if pair.split == "train") == 10
    with pytest.raises(KedrecError, match=r"unknown split 'tests'.*; did you mean 'test'"):
        sample_pairs(graph, **SETTINGS, limit={"tests": 3})


def test_eligible_and_drugs_restrict_what_is_sampled(graph):
    even = {f"Compound::{number}" for number in range(0, 60, 2)}
    pairs = sample_pairs(graph, **SETTINGS, eligible=lambda drug, disease: disease != "Disease::3", drugs=even)
    assert pairs
    assert {drug for pair in pairs for drug in (pair.relevant, pair.irrelevant)} <= even
    assert "Disease::3" not in {pair.disease for pair in pairs}
    assert len({pair.disease for pair in pairs if pair.split == "test"}) == round(
        0.2 * len({pair.disease for pair in pairs})
    )
    with pytest.raises(KedrecError, match="no \\(drug, disease\\) pair is left"):
        sample_pairs(graph, **SETTINGS, eligible=lambda drug, disease: False)


def test_a_disease_that_every_drug_treats_is_left_out_with_a_warning(tmp_path, caplog):
    lines = [(f"Compound::{drug}", TREATS, "Disease::all") for drug in range(4)]
    lines += [(f"Compound::{drug}", TREATS, f"Disease::{drug}") for drug in range(4)]
    pairs = sample_pairs(_graph(tmp_path / "g", lines), **SETTINGS)
    assert {pair.disease for pair in pairs} == {f"Disease::{drug}" for drug in range(4)}
    assert "4 pairs" in caplog.text


def test_unknown_relations_are_refused_and_absent_defaults_are_not(graph):
    assert sample_pairs(graph, **SETTINGS) == sample_pairs(
        graph, relations=["DRUGBANK::treats", "Hetionet::CtD", "GNBR::T"], **SETTINGS
    )
    with pytest.raises(KedrecError, match="'DRUGBANK::treat' is not in the graph; did you mean 'DRUGBANK::treats'"):
        sample_pairs(graph, relations=["DRUGBANK::treat"], **SETTINGS)


def test_saved_pairs_come_back(graph, tmp_path):
    pairs = sample_pairs(graph, **SETTINGS)
    save_pairs(pairs, tmp_path / "pairs.parquet")
    assert load_pairs(tmp_path / "pairs.parquet") == pairs


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda frame: frame.drop("split"), "no column 'split'"),
        (lambda frame: frame.with_columns(more=1), "unknown column 'more'"),
        (lambda frame: frame.with_columns(pl.lit(1).alias("relevant_first")), "column 'relevant_first' is Int"),
        (
            lambda frame: frame.with_columns(pl.lit("valid").alias("split")),
            "row 1, column 'split': unknown split 'valid'; expected one of train, validation, test",
        ),
        (lambda frame: frame.with_columns(disease=pl.lit(None, pl.String)), "row 1, column 'disease' is null"),
    ],
)
def test_a_wrong_table_is_refused(graph, tmp_path, change, expected):
    path = tmp_path / "pairs.parquet"
    save_pairs(sample_pairs(graph, **SETTINGS), path)
    change(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(KedrecError) as fault:
        load_pairs(path)
    assert str(fault.value).startswith(str(path))
    assert expected in str(fault.value)


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(KedrecError, match="no such file"):
        load_pairs(tmp_path / "pairs.parquet")
    (tmp_path / "pairs.parquet").write_text("disease,relevant")
    with pytest.raises(KedrecError, match="not a Parquet file"):
        load_pairs(tmp_path / "pairs.parquet")


@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs the real data")
@pytest.mark.parametrize("split_by", ["disease", "drug"])
def test_pairs_of_the_real_graph(tmp_path, split_by):
    graph = load_graph(Path(os.environ["KEDREC_REAL_DATA"]) / "graph", Store(tmp_path))
    pairs = sample_pairs(graph, **{**SETTINGS, "negatives": "similar", "split_by": split_by})
    true = _true(graph)
    assert len(pairs) > 0.99 * len(true)
    assert all((pair.irrelevant, pair.disease) not in true for pair in pairs)
    assert {pair.provenance.split(";")[1] for pair in pairs} == {"similar"}
