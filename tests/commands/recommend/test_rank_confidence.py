"""How often such ranks are right: counted by hand, and on runs that know and that know nothing."""

import numpy as np
import pytest

from kedrec.commands.recommend.rank_confidence import Counts, pooled
from kedrec.commands.recommend.recommender import Recommender
from kedrec.storage.artifact_store import Store
from kedrec.training.loaded_run import open_run
from tests.support.known_distances_run import TREATS, write_graph, write_run


def test_ranks_are_pooled_until_the_share_never_rises():
    counts = pooled([1, 1, 1, 3, 4, 4, 10], diseases=5, drugs=10)
    shares = [found / ranks for found, ranks in zip(counts.found, np.diff((0, *counts.last_ranks)), strict=True)]
    assert shares == sorted(shares, reverse=True)
    assert sum(counts.found) == 7
    assert counts.last_ranks[-1] == 10
    assert counts.at(1).share == 3 / 5
    assert (counts.at(1).found, counts.at(1).counted) == (3, 5)
    middle = counts.at(3)
    assert (middle.first_rank, middle.last_rank, middle.found, middle.counted) == (2, 4, 3, 15)
    assert middle.share == pytest.approx(0.2)
    assert middle.lift == pytest.approx(0.2 / (7 / 50), abs=0.01)
    assert counts.at(9).share == counts.at(10).share


def test_a_run_that_holds_nothing_out_says_nothing():
    assert pooled([], diseases=4, drugs=10).at(1) is None
    assert Counts(1, (3,), (0,)).at(2) is None


def planted(tmp_path, knows):
    """40 diseases, each with one treatment shown and one held out, which the run knows or not; 30 drugs."""
    generator = np.random.default_rng(0)
    triples, held = [], []
    rows = {f"Compound::{drug}": 1000 * drug for drug in range(30)}
    for disease in range(40):
        shown, hidden = generator.choice(30, 2, replace=False)
        triples += [(f"Compound::{drug}", TREATS, f"Disease::{disease}") for drug in (shown, hidden)]
        held.append((f"Compound::{hidden}", TREATS, f"Disease::{disease}"))
        rows[f"Disease::{disease}"] = 1000 * hidden + 1 if knows else generator.uniform(0, 29000)
    triples += [(f"Compound::{drug}", "S::x", "Gene::1") for drug in range(30)]
    graph = write_graph(tmp_path / f"graph{knows}", triples)
    run = write_run(tmp_path / f"run{knows}", graph, rows, held)
    return Recommender(open_run(run), None, Store(tmp_path / "store"))


def test_a_run_that_knows_what_was_held_out_is_sure_of_its_first_rank(tmp_path):
    first = planted(tmp_path, knows=True).calibration.at(1, treated=True)
    assert (first.share, first.found, first.counted, first.first_rank, first.last_rank) == (1.0, 40, 40, 1, 1)
    assert first.lift == 30


def test_a_run_that_knows_nothing_is_no_surer_of_it_than_of_any(tmp_path):
    calibration = planted(tmp_path, knows=False).calibration
    assert calibration.at(1, treated=True).lift < 3
    total = sum(calibration.treated.found)
    assert total == 40
    assert calibration.at(1, treated=False) is None  # every disease had a treatment in training


def test_counts_are_kept_and_those_of_another_run_are_not_taken(tmp_path):
    first = planted(tmp_path, knows=True).calibration
    assert planted(tmp_path / "again", knows=True).calibration == first
    assert planted(tmp_path, knows=False).calibration != first


def test_a_disease_without_a_treatment_in_training_is_counted_apart(tmp_path):
    triples = [("Compound::a", TREATS, "Disease::1"), ("Compound::b", TREATS, "Disease::2")]
    rows = {"Compound::a": 0, "Compound::b": 5, "Disease::1": 1, "Disease::2": 1}
    graph = write_graph(tmp_path / "graph", triples)
    run = write_run(tmp_path / "run", graph, rows, held_out=triples[1:])
    calibration = Recommender(open_run(run), None, Store(tmp_path / "store")).calibration
    assert calibration.treated.diseases == calibration.untreated.diseases == 1
    assert calibration.at(1, treated=True) is None
    assert calibration.at(2, treated=False).found == 1
