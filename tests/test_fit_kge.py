"""The real command line on the sample's graph: embeddings, alone and anchored in texts."""

import json
import re

import numpy as np
import pytest

from tests.support.command_in_process import run_in_process
from tests.support.command_process import REPOSITORY
from tests.support.trained_runs import printed_by, trained


@pytest.fixture(scope="module")
def unbroken(small_lladr):
    return trained(small_lladr)


def tables(folder):
    from safetensors.numpy import load_file

    found = load_file(folder / "embeddings" / "embeddings.safetensors")
    names = [(folder / "embeddings" / f"{kind}.tsv").read_text().splitlines() for kind in ("entities", "relations")]
    return found["entity"], found["relation"], *names


def test_a_run_leaves_metrics_embeddings_and_ranked_compounds(unbroken):
    folder = unbroken
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {
        "test/pairs/all/mrr",
        "test/pairs/typed/hits@10",
        "test/diseases/typed/tail/mrr",
        "test/pairs/lladr_published/mrr_sd",
        "test/pairs/lladr_filtered/mrr_expected",
    } <= metrics.keys()
    assert "pairs typed" in printed_by(folder).read_text()
    entity, relation, entities, relations = tables(folder)
    assert entity.shape == (len(entities), 64)
    assert relation.shape == (len(relations), 64)
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    known = {compound["known"] for row in rows for compound in row["compounds"]}
    assert known == {None, "training", "validation", "test"}
    for row in rows:
        scores = [compound["score"] for compound in row["compounds"]]
        assert scores == sorted(scores, reverse=True)
        assert row["id"].startswith("Disease::")
    card = (folder / "README.md").read_text()
    assert "anchor description" in card
    assert "five draws" in card


def test_the_saved_rows_are_the_scored_rows(unbroken):
    """Nothing but numpy and the exported files gives the ranks of the run."""
    folder = unbroken
    entity, relation, entities, relations = tables(folder)
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    for row in rows[:5]:
        for compound in row["compounds"][:5]:
            head, kind, tail = (
                entity[entities.index(compound["id"])],
                relation[relations.index(compound["relation"])],
                entity[entities.index(row["id"])],
            )
            assert 12 - np.abs(head + kind - tail).sum() == pytest.approx(compound["score"], abs=1e-4)


def test_the_documented_page_ranks_as_the_run_does(unbroken, capsys):
    folder = unbroken
    (page,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "embeddings.md").read_text(), re.DOTALL)
    treats = "DRUGBANK::treats::Compound:Disease"
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    row = max(rows, key=lambda row: sum(compound["relation"] == treats for compound in row["compounds"][:10]))
    page = page.replace("runs/lladr_transe/ID", str(folder)).replace("Disease::MESH:D003924", row["id"])
    exec(page, {})
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert len(shown) == 10
    scores = {one["id"]: one["score"] for one in row["compounds"] if one["relation"] == treats and one["id"] in shown}
    assert scores
    for compound, score in scores.items():
        assert float(shown[compound]) == pytest.approx(score, abs=1e-4)


def test_it_learns(small_lladr, tmp_path):
    """After 1,200 steps: after the 150 of the other tests eleven pairs tell as much where a seed began."""
    found = []
    for steps in (1, 1200):
        folder = tmp_path / str(steps)
        done = run_in_process(
            small_lladr, f"out={folder}", f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}"
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads((folder / "metrics.json").read_text()))
    before, after = found
    assert after["test/pairs/typed/mrr"] > 3 * before["test/pairs/typed/mrr"]


def test_unseen_entities_are_settled_before_they_are_ranked_and_saved(small_lladr, tmp_path):
    """Of a graph that has lost most of its triples, so that some entities have none."""
    few = ("data.init_args.noise.delete=0.5", "trainer.max_steps=10", "trainer.val_check_interval=5")
    found = {}
    for neighbours in (0, 3):
        place = tmp_path / str(neighbours)
        done = run_in_process(small_lladr, f"out={place}", *few, f"model.init_args.unseen_neighbours={neighbours}")
        assert done.returncode == 0, done.stderr
        found[neighbours] = (tables(place), json.loads((place / "metrics.json").read_text()))
    (before, _, ids, _), plain = found[0]
    (after, *_), settled = found[3]
    moved = np.abs(after - before).max(axis=1) > 1e-6
    assert 0 < moved.sum() < len(ids) / 2
    assert plain["test/pairs/all/mr"] != settled["test/pairs/all/mr"]


def test_a_model_for_one_process_says_so(tmp_path):
    done = run_in_process(
        REPOSITORY / "experiments" / "kgt5.yaml", f"out={tmp_path}", "trainer.devices=2", "trainer.strategy=ddp"
    )
    assert done.returncode == 2
    assert "KGT5 runs in one" in done.stderr
