"""A student trained by two processes, under each strategy, on the CPU over gloo."""

import csv
import functools
import json

import pytest
import torch

from tests.support.command_process import run
from tests.support.forked_command import run_forked, run_ranks

pytestmark = pytest.mark.slow

# As `use.trainer=zero3` and nothing else is on a cluster, but for the device and a precision in which sums can be told.
ON_CPU = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")
DEEPSPEED = "trainer.strategy.class_path=tests.support.cpu_deepspeed.CPUDeepSpeed"
SETTINGS = (
    "trainer.log_every_n_steps=1",
    "trainer.max_epochs=-1",
    "trainer.max_steps=10",
    "trainer.check_val_every_n_epoch=null",
    "trainer.val_check_interval=5",
    "model.init_args.dtype=float32",
)
STRATEGIES = {
    "ddp": ("use.trainer=ddp", *ON_CPU),
    "zero1": ("use.trainer=zero1", DEEPSPEED, *ON_CPU),
    "zero2": ("use.trainer=zero2", DEEPSPEED, *ON_CPU),
    "zero3": ("use.trainer=zero3", DEEPSPEED, *ON_CPU),
    "fsdp": ("use.trainer=fsdp", *ON_CPU),
}


def _curves(folder):
    """Return what was logged in training and validation: (step, column) -> value."""
    with (folder / "log" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = {}
    for row in rows:
        for column, value in row.items():
            if value and column.startswith(("train/", "validation/")):
                told[int(row["step"]), column] = float(value)
    return told


def _predictions(folder, name="predictions.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(tiny_experiment, tmp_path_factory):
    """One process with batches of four."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    clip = ("trainer.gradient_clip_val=1.0", "trainer.precision=32-true", "data.init_args.loader.batch_size=4")
    done = run_forked(tiny_experiment, f"out={folder}", *SETTINGS, *clip)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module", params=STRATEGIES)
def together(request, tiny_experiment, tmp_path_factory):
    """Two processes with batches of two: the strategy, the folder, and what was gathered."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    watched = folder.parent / "gathered.json"
    arguments = (*SETTINGS, *STRATEGIES[request.param])
    # One strategy is launched as a user does it: Lightning starts the second process.
    launched = run if request.param == "ddp" else functools.partial(run_ranks, 2)
    done = launched(tiny_experiment, f"out={folder}", *arguments, GATHERED=str(watched))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1  # one process speaks
    return arguments, folder, watched


def test_two_processes_have_the_losses_of_one_with_batches_twice_as_large(alone, together):
    one, two = _curves(alone), _curves(together[1])
    assert one.keys() == two.keys()
    assert len([key for key in one if key[1] == "train/answer_loss"]) == 10
    for key, value in one.items():
        assert two[key] == pytest.approx(value, rel=1e-5), key


def test_two_processes_answer_each_question_once_and_as_one_does(alone, together):
    for name in ("predictions.jsonl", "predictions_base.jsonl"):
        one, two = _predictions(alone, name), _predictions(together[1], name)
        assert [(row["pair"], row["swapped"]) for row in one] == [(row["pair"], row["swapped"]) for row in two]
        for mine, theirs in zip(one, two, strict=True):
            assert theirs["scores"] == pytest.approx(mine["scores"], abs=2e-3)
            assert theirs.get("rationale") == mine.get("rationale")
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (alone, together[1])]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)  # a temperature is fitted to those scores


def test_the_adapter_has_moved_and_gives_plain_peft_the_scores_of_the_run(together, tiny_base):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, folder, _ = together
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    moved = {name: value.abs().max().item() for name, value in model.named_parameters() if "lora_B" in name}
    assert moved
    assert min(moved.values()) > 0
    kept = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    loaded = dict(model.named_parameters())
    assert len(kept) == 2 * len(moved)
    for name, value in kept.items():
        assert torch.equal(loaded[name.removeprefix("net.")], value)
    AutoTokenizer.from_pretrained(folder / "adapter")


def test_nothing_is_made_whole_but_the_adapter(together):
    arguments, _, watched = together
    if "use.trainer=zero3" not in arguments:
        assert not watched.exists()
        return
    gathered = json.loads(watched.read_text())
    assert gathered
    assert all("lora_" in name for name in gathered)


def test_killed_in_the_middle_they_go_on_to_the_same_numbers(together, tiny_experiment, tmp_path):
    arguments, folder, _ = together
    broken = tmp_path / "run"
    killed = run_ranks(2, tiny_experiment, f"out={broken}", *arguments, KILL_AT="8")
    assert killed.returncode != 0
    assert not (broken / "metrics.json").exists()
    other = run_forked(tiny_experiment, f"out={broken}", *arguments, "trainer.devices=1")
    assert other.returncode == 2  # settings of another run, or of another number of processes
    resumed = run_ranks(2, tiny_experiment, f"out={broken}", *arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert (broken / "metrics.json").read_text() == (folder / "metrics.json").read_text()
    name = "adapter/adapter_model.safetensors"
    assert (broken / name).read_bytes() == (folder / name).read_bytes()
