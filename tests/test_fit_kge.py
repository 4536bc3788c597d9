"""The real command line on the sample's graph: embeddings, alone and anchored in texts."""

import json
import re

import numpy as np
import pytest
import yaml

from tests.support.command_process import REPOSITORY, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small_lladr(tmp_path_factory, tiny_encoder_folder, store):
    """LLaDR in little: the sample's graph, rows of 64 numbers, an encoder made at random."""
    content = yaml.safe_load((REPOSITORY / "experiments" / "lladr_transe.yaml").read_text())
    content["model"] = {"init_args": {"dim": 64, "anchor": {"projection": "pca"}}}
    content["data"]["init_args"] |= {
        "anchors": {"sources": ["text"], "encoder": str(tiny_encoder_folder)},
        "split": {"unseen_diseases": 5},
        "loader": {"batch_size": 256},
        "negatives": {"count": 64, "chunks": 4},
    }
    content["trainer"] = {
        "accelerator": "cpu",
        "max_steps": 150,
        "val_check_interval": 70,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [
            {
                "class_path": "kedrec.training.checkpoints.KeepLast",
                "init_args": {"folder": "${run_dir}/checkpoints", "every": 10},
            },
            {"class_path": "tests.support.kill_at_step.Kill"},
        ],
    }
    path = tmp_path_factory.mktemp("lladr") / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def unbroken(small_lladr, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    done = run(small_lladr, f"out={folder}")
    assert done.returncode == 0, done.stderr
    return folder, done


def tables(folder):
    from safetensors.numpy import load_file

    found = load_file(folder / "embeddings" / "embeddings.safetensors")
    names = [(folder / "embeddings" / f"{kind}.tsv").read_text().splitlines() for kind in ("entities", "relations")]
    return found["entity"], found["relation"], *names


def test_a_run_leaves_metrics_embeddings_and_ranked_compounds(unbroken):
    folder, done = unbroken
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {
        "test/pairs/all/mrr",
        "test/pairs/typed/hits@10",
        "test/diseases/typed/tail/mrr",
        "test/pairs/lladr_published/mrr_sd",
        "test/pairs/lladr_filtered/mrr_expected",
    } <= metrics.keys()
    assert "pairs typed" in done.stdout
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
    folder, _ = unbroken
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


def test_it_learns(small_lladr, tmp_path):
    """After 1,200 steps: after the 150 of the other tests eleven pairs tell as much where a seed began."""
    found = []
    for steps in (1, 1200):
        folder = tmp_path / str(steps)
        done = run(small_lladr, f"out={folder}", f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}")
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
        done = run(small_lladr, f"out={place}", *few, f"model.init_args.unseen_neighbours={neighbours}")
        assert done.returncode == 0, done.stderr
        found[neighbours] = (tables(place), json.loads((place / "metrics.json").read_text()))
    (before, _, ids, _), plain = found[0]
    (after, *_), settled = found[3]
    moved = np.abs(after - before).max(axis=1) > 1e-6
    assert 0 < moved.sum() < len(ids) / 2
    assert plain["test/pairs/all/mr"] != settled["test/pairs/all/mr"]


@pytest.mark.parametrize(
    "moment", ["27", "40", "70", "75", "validation", "test"]
)  # an epoch has 20 batches, a validation is due at 70
def test_after_kill_9_the_same_command_ends_with_the_same_embeddings(moment, unbroken, small_lladr, tmp_path):
    killed = run(small_lladr, f"out={tmp_path}", KILL_AT=moment)
    assert killed.returncode == -9
    resumed = run(small_lladr, f"out={tmp_path}")
    assert resumed.returncode == 0, resumed.stderr
    folder, _ = unbroken
    for name in ("metrics.json", "embeddings/embeddings.safetensors", "predictions.jsonl"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_documented_page_ranks_as_the_run_does(unbroken, capsys):
    folder, _ = unbroken
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


def test_a_checkpoint_where_a_validation_is_due_knows_its_outcome(small_lladr, tmp_path):
    """Going on does not validate again: saved before, the run would forget which checkpoint is best."""
    import torch

    assert run(small_lladr, f"out={tmp_path}", KILL_AT="75").returncode == -9
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 70
    scores = [state["best"] for state in last["callbacks"].values() if "best" in state]
    assert scores
    assert None not in scores


TWO = ("trainer.devices=2", "trainer.strategy=ddp", "data.init_args.loader.batch_size=128")
TWO = (*TWO, "data.init_args.negatives.chunks=2")


def test_two_processes_share_a_graph_and_count_each_answer_once(unbroken, small_lladr, tmp_path):
    one = unbroken[0]
    two, broken = tmp_path / "two", tmp_path / "broken"
    done = run(small_lladr, f"out={two}", *TWO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1
    mine, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (one, two))
    assert mine.keys() == theirs.keys()
    counted = [name for name in mine if name.endswith("/n")]
    assert counted
    assert all(mine[name] == theirs[name] for name in counted)
    # As many triples a step; other corruptions, so other numbers, but no worse a model.
    assert theirs["test/pairs/all/auc"] == pytest.approx(mine["test/pairs/all/auc"], abs=0.03)
    assert theirs["test/pairs/all/mrr"] != mine["test/pairs/all/mrr"]
    ids = [[json.loads(line)["id"] for line in (folder / "predictions.jsonl").open()] for folder in (one, two)]
    assert ids[0] == ids[1]
    killed = run(small_lladr, f"out={broken}", *TWO, KILL_AT="83")
    assert killed.returncode != 0
    resumed = run(small_lladr, f"out={broken}", *TWO)
    assert resumed.returncode == 0, resumed.stderr
    assert (broken / "metrics.json").read_text() == (two / "metrics.json").read_text()
    assert (tables(broken)[0] == tables(two)[0]).all()


def test_a_model_for_one_process_says_so(tmp_path):
    done = run(REPOSITORY / "experiments" / "kgt5.yaml", f"out={tmp_path}", "trainer.devices=2", "trainer.strategy=ddp")
    assert done.returncode == 2
    assert "KGT5 runs in one" in done.stderr
