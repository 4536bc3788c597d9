"""A scorer from outside the package is trained, exported, read back and ranks; no other code is run for it."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.fit import main
from kedrec.graph.trained_embeddings import Exported
from kedrec.training.experiment_objects import build
from tests.support.command_process import REPOSITORY
from tests.support.extensions.ellipse_scorer import EllipseScorer

CLASS_PATH = "tests.support.extensions.ellipse_scorer.EllipseScorer"
SMALL = (
    "model.init_args.dim=16",
    "data.init_args.loader.batch_size=256",
    "data.init_args.negatives.count=16",
    "data.init_args.split.unseen_diseases=5",
    "trainer.max_steps=8",
    "trainer.val_check_interval=8",
    "trainer.enable_progress_bar=false",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, store):
    """The run of a small model with the scorer."""
    folder = tmp_path_factory.mktemp("ellipse")
    content = yaml.safe_load((REPOSITORY / "experiments" / "transe_base.yaml").read_text())
    content["model"] = {"init_args": {"scorer": {"class_path": CLASS_PATH, "init_args": {"order": 1}}}}
    (folder / "ellipse.yaml").write_text(yaml.safe_dump(content))
    assert main([str(folder / "ellipse.yaml"), f"out={folder / 'run'}", *SMALL]) == 0
    return folder / "run"


def test_it_ranks_as_it_was_trained(trained):
    exported = Exported.load(trained)
    assert isinstance(exported.scorer, EllipseScorer)
    assert exported.scorer.order == 1
    with safe_open(trained / "embeddings" / "embeddings.safetensors", framework="pt") as file:
        scale, gamma = (float(file.get_tensor(f"scorer.{name}").item()) for name in ("scale", "gamma"))
        assert file.metadata() == {"scorer": CLASS_PATH}
    assert scale != 1.0  # it was trained
    assert exported.scorer.scale == scale
    query = exported.scorer.query(exported.entity[3], exported.relation[0], "tail")
    scores = exported.scorer.pairs(query, exported.entity)
    distances = torch.from_numpy(exported.entity[3] + exported.relation[0] - exported.entity).abs().sum(1)
    assert scores == pytest.approx((gamma - scale * distances).numpy(), rel=1e-5, abs=1e-4)
    assert np.argmax(scores) == int(distances.argmin())


def test_the_tested_ranks_are_those_of_its_formula(trained):
    """The plain tiles of the model and the numpy formula rank the compounds of a disease alike."""
    exported = Exported.load(trained)
    row = yaml.safe_load((trained / "predictions.jsonl").read_text().splitlines()[0])
    best = row["compounds"][0]
    given = exported.score(best["id"], [best["relation"]], row["id"])
    assert given == pytest.approx(best["score"], abs=1e-3)


def test_embeddings_alone_run_no_code(trained, tmp_path):
    place = tmp_path / "embeddings"
    place.mkdir()
    for file in (trained / "embeddings").iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    with pytest.raises(KedrecError, match=rf"scorer '{CLASS_PATH}', which is none of .* names no class of it"):
        Exported.load(place)
    config = yaml.safe_load((trained / "config.yaml").read_text())
    config["model"]["init_args"]["scorer"] = {"class_path": "collections.OrderedDict"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(KedrecError, match="names no class of it"):
        Exported.load(tmp_path)
    config["model"]["init_args"]["scorer"] = {"class_path": "no_such_package.Scorer"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(KedrecError, match=r"no_such_package\.Scorer cannot be imported"):
        Exported.load(tmp_path)
    config["model"]["init_args"]["scorer"] = {"class_path": "kedrec.graph.scorers.TransE"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(KedrecError, match=r"but .*config\.yaml names kedrec\.graph\.scorers\.TransE"):
        Exported.load(tmp_path)


@pytest.mark.slow
def test_reading_it_does_not_wait_for_torch(trained):
    code = f"import sys; from kedrec.graph.trained_embeddings import Exported; Exported.load({str(trained)!r})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"], check=False, cwd=REPOSITORY
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        ("transe_l3", r"model\.init_args\.scorer: "),
        ({"class_path": "collections.OrderedDict"}, r"model\.init_args\.scorer: "),
        ({"class_path": CLASS_PATH, "init_args": {"ordr": 1}}, r"model\.init_args\.scorer.*ordr"),
    ],
)
def test_a_wrong_scorer_names_its_key_in_one_line(scorer, expected, tmp_path):
    content = yaml.safe_load((REPOSITORY / "experiments" / "transe_base.yaml").read_text())
    content["model"] = {"init_args": {"scorer": scorer}}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(KedrecError, match=expected) as fault:
        build(compose(tmp_path / "wrong.yaml"))
    assert "\n" not in str(fault.value)
