"""Runs that are told to stop by a signal: they stop when they can, and go on as though nothing had been."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from kedrec.runtime.signals import HEARD, Preempted, preemptible
from tests.support.command_process import REPOSITORY
from tests.support.forked_command import ForkedCommand, run_forked
from tests.support.trained_runs import trained


@pytest.fixture(autouse=True)
def handlers():
    """The handlers of the test run, back after each test."""
    before = {one: signal.getsignal(one) for one in HEARD}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def small_training(folder, stop_at=None, patience=0.0, hold=0.0, resume=False, every=1000, **settings):
    """Train a small net with dropout, told to stop in batch ``stop_at`` or ``validation``; return trainer and net."""
    import torch
    from lightning import LightningModule, Trainer, seed_everything
    from torch.utils.data import TensorDataset
    from torchdata.stateful_dataloader import StatefulDataLoader

    from kedrec.training.checkpoints import KeepBest, KeepLast, Settings
    from kedrec.training.preemption import StopAtSignal

    class Net(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
            self.batches = 0

        def training_step(self, batch, _):
            self.batches += 1
            self._signal_if(self.batches)
            return (self.net(batch[0]) - batch[1]).square().mean()

        def validation_step(self, batch, index):
            if index == 1:
                self._signal_if("validation")
            self.log("validation/loss", (self.net(batch[0]) - batch[1]).square().mean())

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)

        def _signal_if(self, moment):
            if moment == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(hold)

    seed_everything(0, verbose=False)
    net = Net()
    inputs = torch.randn(14, 3)
    rows = TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[
            Settings(""),
            KeepBest(folder, "validation/loss", "min"),
            KeepLast(str(folder), every),
            StopAtSignal(patience),
        ],
        **settings,
    )
    last = folder / "last.ckpt" if resume else None
    loaders = (StatefulDataLoader(rows, batch_size=2), StatefulDataLoader(rows, batch_size=5))
    with preemptible():
        trainer.fit(net, *loaders, ckpt_path=last, weights_only=True)
    return trainer, net


# Of 7 batches an epoch.
OVER_EPOCHS = {"max_steps": 13, "check_val_every_n_epoch": None, "val_check_interval": 5}
IN_EPOCHS = {"max_epochs": 2}
UNEVEN = {"max_epochs": 2, "check_val_every_n_epoch": None, "val_check_interval": 10}
ACCUMULATED = {"max_epochs": 2, "accumulate_grad_batches": 3}
SHORT = {"max_epochs": 6, "limit_train_batches": 1, "check_val_every_n_epoch": 2}
PLANS = pytest.mark.parametrize("settings", [OVER_EPOCHS, IN_EPOCHS, UNEVEN, ACCUMULATED, SHORT], ids=str)


def same_weights(net, other):
    import torch

    return all(torch.equal(mine, theirs) for mine, theirs in zip(net.parameters(), other.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore")
@PLANS
def test_stopped_at_any_batch_it_ends_with_the_same_weights(settings, tmp_path):
    trainer, whole = small_training(tmp_path / "whole", **settings)
    best = trainer.checkpoint_callbacks[0].best
    for batch in range(1, whole.batches + 1):
        folder = tmp_path / str(batch)
        with pytest.raises(Preempted):
            small_training(folder, batch, patience=60.0, **settings)
        trainer, net = small_training(folder, resume=True, **settings)
        assert net.batches <= whole.batches - batch, f"batch {batch} was given again"
        assert same_weights(net, whole), f"stopped at batch {batch}"
        assert trainer.checkpoint_callbacks[0].best == best, f"stopped at batch {batch}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("every", [1, 3, 7])
@PLANS
def test_killed_at_any_batch_it_ends_with_the_same_weights(settings, every, tmp_path, monkeypatch):
    trainer, whole = small_training(tmp_path / "whole", **settings)
    best = trainer.checkpoint_callbacks[0].best
    monkeypatch.setattr("kedrec.training.preemption._save", lambda _: None)
    for batch in range(1, whole.batches + 1):
        folder = tmp_path / str(batch)
        with pytest.raises(Preempted):
            small_training(folder, batch, every=every, **settings)
        if (folder / "last.ckpt").exists():
            trainer, net = small_training(folder, resume=True, every=every, **settings)
            assert same_weights(net, whole), f"killed at batch {batch}"
            assert trainer.checkpoint_callbacks[0].best == best, f"killed at batch {batch}"


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_saved_half_done_is_given_some_seconds(tmp_path):
    for moment, settings in (("validation", OVER_EPOCHS), (1, ACCUMULATED)):
        with pytest.raises(Preempted):  # in time: saved behind it
            small_training(tmp_path / f"in_time_{moment}", moment, patience=60.0, **settings)
        assert (tmp_path / f"in_time_{moment}" / "last.ckpt").exists()
        with pytest.raises(Preempted):  # too late: the last checkpoint stands, and there was none yet
            small_training(tmp_path / f"late_{moment}", moment, patience=0.1, hold=0.2, **settings)
        assert not (tmp_path / f"late_{moment}" / "last.ckpt").exists()


KILLED_IN_THE_SECOND_SAVE = """
import os, signal, sys
from pathlib import Path
from fsspec.implementations import local
from tests.training.test_preemption import OVER_EPOCHS, small_training

moves = []

def half(source, target):
    moves.append(target)
    content = Path(source).read_bytes()
    Path(target).write_bytes(content if len(moves) == 1 else content[: len(content) // 2])
    if len(moves) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

local.shutil.move = half  # what Lightning puts a checkpoint in place by; it copies where the disk is another
small_training(Path(sys.argv[1]), every=3, **OVER_EPOCHS)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_half_written_is_never_taken(tmp_path):
    import torch

    _, whole = small_training(tmp_path / "whole", **OVER_EPOCHS)
    command = [sys.executable, "-c", KILLED_IN_THE_SECOND_SAVE, str(tmp_path / "run")]
    killed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 3
    _, net = small_training(tmp_path / "run", resume=True, every=3, **OVER_EPOCHS)
    assert same_weights(net, whole)


@pytest.fixture(scope="module")
def experiment(tiny_experiment, tmp_path_factory):
    """The tiny student, with a callback that signals its process."""
    content = yaml.safe_load(tiny_experiment.read_text())
    content["trainer"]["callbacks"].append({"class_path": "tests.support.signal_at_step.Signal"})
    path = tmp_path_factory.mktemp("signalled") / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def signalled_when(seen, experiment, *arguments, **environment):
    """Run the command, send SIGTERM as soon as ``seen()`` holds; status, stderr."""
    process = ForkedCommand("kedrec.fit", experiment, *arguments, **environment)
    end = time.monotonic() + 120
    while not seen() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    return process.returncode, told


@pytest.mark.slow
def test_stopped_at_every_stage_a_run_ends_with_the_same_numbers(experiment, tiny_experiment, tmp_path):
    folder, store = tmp_path / "run", tmp_path / "store"
    out = f"out={folder}"

    def building(kind):
        return lambda: list(store.glob(f"{kind}/*.partial"))

    for stage in ("passages", "base-answers"):
        status, told = signalled_when(building(stage), experiment, out, KEDREC_STORE=str(store))
        assert status == 143, told
        assert told.endswith("kedrec: stopped by SIGTERM; the same command starts again with what was prepared\n")
        assert "Traceback" not in told
        assert not building(stage)()
    for at, signals, status in (
        ("5,save", "SIGUSR1,SIGTERM", 138),  # two in a row, and two more while it saves
        ("validation", "SIGTERM", 143),
        ("test", "SIGTERM", 143),
    ):
        done = run_forked(experiment, out, SIGNAL_AT=at, SIGNALS=signals, KEDREC_STORE=str(store))
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert not (folder / "metrics.json").exists()
    done = run_forked(experiment, out, KEDREC_STORE=str(store))
    assert done.returncode == 0, done.stderr
    whole = trained(tiny_experiment)
    for name in ("metrics.json", "predictions.jsonl", "adapter/adapter_model.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
