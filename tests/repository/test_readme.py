"""README's commands are real: each is run, as far as it can be without training."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kedrec.commands.sweep.sweep_file import read_sweep
from kedrec.config import compose
from kedrec.evaluation.student_metrics import summary_metrics
from kedrec.training.base_classes import ExperimentData
from kedrec.training.experiment_objects import build

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CLUSTERS = (REPOSITORY / "docs" / "clusters.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README + CLUSTERS, re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]


def test_there_are_commands_and_they_are_of_known_kinds():
    assert len(COMMANDS) >= 8
    assert {command.split()[0] for command in COMMANDS} <= {"make", "python", "sbatch", "wandb"}


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_targets_exist(command):
    done = subprocess.run(
        ["make", "--dry-run", *shlex.split(command)[1:]], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if "kedrec.fit" in c or "slurm/fit" in c])
def test_experiments_compose_and_build(command, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = shlex.split(command)
    at = next(index for index, word in enumerate(words) if word.endswith(".yaml"))
    overrides = [word for word in words[at + 1 :] if not word.startswith(("out=", "--plan", "--gpus"))]
    composed = compose(REPOSITORY / words[at], [*overrides, f"out={tmp_path}"])
    assert build(composed).model is not None
    assert composed.run_dir == tmp_path


@pytest.mark.parametrize("command", [c for c in COMMANDS if "kedrec.prepare" in c and "--unbundle" not in c])
def test_what_is_prepared_composes_and_builds(command, monkeypatch):
    monkeypatch.setenv("NCBI_EMAIL", "someone@example.org")
    _, _, _, experiment, *further = shlex.split(command)
    overrides = [word for word in further if not word.startswith(("--dry-run", "--bundle"))]
    data = build(compose(REPOSITORY / experiment, overrides)).data
    assert type(data).plan is not ExperimentData.plan


@pytest.mark.parametrize("command", [c for c in COMMANDS if "kedrec.sweep" in c])
def test_sweeps_can_be_read(command):
    words = shlex.split(command)
    sweep = read_sweep(REPOSITORY / next(word for word in words if word.endswith(".yaml")))
    assert "kedrec.fit" in sweep.command


@pytest.mark.slow
@pytest.mark.parametrize("module", ["evaluate", "export"])
def test_commands_on_runs_say_how_they_are_used(module):
    assert any(f"kedrec.{module}" in command for command in COMMANDS)
    arguments = [sys.executable, "-m", f"kedrec.{module}", "--help"]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_short():
    assert README.count("\n") <= 220


@pytest.mark.parametrize(
    "path",
    sorted(
        set(re.findall(r"`((?:configs|docs|experiments|kedrec|slurm|sweeps|benchmarks)/[\w./]+)`", README + CLUSTERS))
    ),
)
def test_paths_exist(path):
    assert (REPOSITORY / path).exists()


def test_the_closing_table_has_the_numbers_of_the_recorded_run():
    metrics = json.loads((REPOSITORY / "results" / "both_sources" / "0.json").read_text(encoding="utf-8"))["metrics"]
    rows = re.findall(r"│ (\w+) +│ ([^│]*?) *│ ([^│]*?) *│", README)
    assert len(rows) == 8
    for name, *cells in rows:
        for part, cell in zip(("base", "test"), cells, strict=True):
            key = f"{part}/{name}"
            bounds = [f"{metrics[key + end]:.3f}" for end in ("_low", "_high") if key in metrics]
            shown = f"{metrics[key]:.3f} ({'-'.join(bounds)})" if key in metrics else ""
            assert cell == shown, key


def test_the_closing_table_has_the_metrics_that_close_a_run():
    metrics = json.loads((REPOSITORY / "results" / "both_sources" / "0.json").read_text(encoding="utf-8"))["metrics"]
    shown = re.findall(r"│ (\w+) +│ [^│]*│ [^│]*│", README)
    assert shown == summary_metrics(metrics)
    assert [name for name in re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) if name in shown] == shown
