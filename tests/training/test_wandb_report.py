"""W&B without a key is one line before anything is computed."""

import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger

from kedrec.errors import KedrecError
from kedrec.training.wandb_report import start_wandb


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    """A user who has never logged in."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    wandb.teardown()  # it has read the environment once
    yield
    wandb.teardown()


def test_without_a_key_there_is_one_line_with_the_remedy(no_key, tmp_path):
    with pytest.raises(KedrecError) as fault:
        start_wandb(WandbLogger(project="kedrec", save_dir=tmp_path))
    message = str(fault.value)
    assert "\n" not in message
    assert message.startswith("logger: W&B does not start (")
    assert "`wandb login`" in message
    assert "WANDB_MODE=offline" in message


def test_other_loggers_need_nothing(no_key, tmp_path):
    start_wandb(CSVLogger(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_offline_needs_no_key(no_key, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = WandbLogger(project="kedrec", save_dir=tmp_path)
    start_wandb(logger)
    assert logger.experiment.offline
    assert list(tmp_path.glob("wandb/offline-run-*"))
    logger.experiment.finish()
