"""What a run exports scores as the model did."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from kedrec.errors import KedrecError
from kedrec.graph.scorers import SCORERS
from kedrec.graph.trained_embeddings import Exported
from kedrec.graph.vocabulary import Vocabulary
from kedrec.lladr.kge import KGE

ENTITIES = ["Compound::a", "Compound::b", "Disease::x", "Gene::y"]
RELATIONS = ["treats", "binds"]
NAME = "embeddings.safetensors"


def _export(folder, scorer="distmult"):
    model = KGE(scorer, dim=6, gamma=5.0, seed=3)
    held = np.array([[0, 0, 2], [3, 1, 1]], dtype=np.int32)
    model.vocabulary = Vocabulary(ENTITIES, RELATIONS, ENTITIES, [], held)
    model.make_tables(len(ENTITIES), len(RELATIONS))
    with torch.no_grad():
        for parameter in model.scorer.parameters():
            parameter.mul_(1.3)
    folder.mkdir()
    model.export(folder)
    return model


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("part", ["", "embeddings"])
def test_scores_are_those_of_the_model(scorer, part, tmp_path):
    model = _export(tmp_path / "run", scorer)
    assert Exported.load(tmp_path / "run" / part).split is None
    (tmp_path / "run" / "split.tsv").touch()
    found = Exported.load(tmp_path / "run" / part)
    assert found.split == tmp_path / "run" / "split.tsv"
    entity, relation = model.entity.weight, model.relation.weight
    wanted = [float(model.scorer(entity[0], relation[kind], entity[2])) for kind in (0, 1)]
    assert found.score("Compound::a", ["binds"], "Disease::x") == pytest.approx(wanted[1], rel=1e-5)
    assert found.score("Compound::a", [*RELATIONS, "other"], "Disease::x") == pytest.approx(max(wanted), rel=1e-5)
    assert found.score("Compound::a", ["other"], "Disease::x") is None
    assert found.score("Compound::c", RELATIONS, "Disease::x") is None
    assert found.held_out == {("Compound::a", "treats", "Disease::x"), ("Gene::y", "binds", "Compound::b")}


@pytest.mark.parametrize("missing", ["head", "tail"])
@pytest.mark.parametrize("scorer", SCORERS)
def test_one_query_against_all_entities_scores_as_the_tiles_of_the_model(scorer, missing, tmp_path):
    model = _export(tmp_path / "run", scorer)
    with torch.no_grad():
        wanted = model.answer_scores(torch.tensor([2, 3]), torch.tensor([1, 1]), missing).numpy()
    found = Exported.load(tmp_path / "run")
    for row, scores in zip((2, 3), wanted, strict=True):
        query = found.scorer.query(found.entity[row], found.relation[1], missing)
        assert found.scorer.pairs(query, found.entity) == pytest.approx(scores, rel=1e-5, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["import kedrec.graph.trained_embeddings", "import kedrec.commands.recommend.recommender"]
)
def test_reading_embeddings_does_not_wait_for_torch(command):
    done = subprocess.run([sys.executable, "-c", f"{command}, sys; sys.exit('torch' in sys.modules)"], check=False)
    assert done.returncode == 0


def test_rows_are_exported_in_numbers_that_numpy_knows(tmp_path):
    from safetensors.torch import load_file, save_file

    model = _export(tmp_path / "run", "hake")
    model.to(torch.bfloat16)
    (tmp_path / "short").mkdir()
    model.export(tmp_path / "short")
    found = Exported.load(tmp_path / "short")
    assert found.entity.dtype == found.relation.dtype == np.float32
    assert np.array_equal(found.entity, model.entity.weight.detach().float().numpy())
    tables = load_file(tmp_path / "short" / "embeddings" / NAME)
    short = {one: table.to(torch.bfloat16) for one, table in tables.items()}
    save_file(short, tmp_path / "short" / "embeddings" / NAME, {"scorer": "hake"})
    with pytest.raises(KedrecError, match="bfloat16"):
        Exported.load(tmp_path / "short")


def test_rows_come_as_asked_and_zero_where_there_are_none(tmp_path):
    model = _export(tmp_path / "run")
    rows = Exported.load(tmp_path / "run").rows(["Gene::y", "Compound::c", "Compound::a"])
    assert np.array_equal(rows[[0, 2]], model.entity.weight.detach().numpy()[[3, 0]])
    assert not rows[1].any()


def _cut(place):
    path = place / "embeddings.safetensors"
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda place: (place / "embeddings.safetensors").unlink(), "no such file; expected the folder of a finished"),
        (_cut, "cannot be read"),
        (lambda place: (place / "entities.tsv").unlink(), r"entities\.tsv: no such file"),
        (lambda place: (place / "relations.tsv").write_text("treats\n"), r"relations\.tsv: 1 lines for 2 rows"),
    ],
)
def test_what_is_damaged_is_named(harm, expected, tmp_path):
    _export(tmp_path / "run")
    harm(tmp_path / "run" / "embeddings")
    with pytest.raises(KedrecError, match=expected):
        Exported.load(tmp_path / "run")


def test_other_tensors_are_refused(tmp_path):
    from safetensors.torch import save_file

    tables = {"entity": torch.zeros(2, 2), "relation": torch.zeros(1, 2), "scorer.gamma": torch.ones(())}
    for lacking, kind in (({"scorer.range"}, "distmult"), (set(), "protate"), (set(), "other")):
        expected = "none of transe_l1" if kind == "other" else "not the embeddings of a run"
        given = {**tables, "scorer.range": torch.ones(())}
        save_file({one: given[one] for one in given if one not in lacking}, tmp_path / NAME, {"scorer": kind})
        with pytest.raises(KedrecError, match=expected):
            Exported.load(tmp_path)
