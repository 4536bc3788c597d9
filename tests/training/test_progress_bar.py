"""The epoch that the bar shows."""

from types import SimpleNamespace

import pytest

from kedrec.training.progress_bar import EpochProgressBar


@pytest.mark.parametrize(("last", "shown"), [(-1, "Epoch 3"), (5, "Epoch 3/4")])
def test_a_last_epoch_is_shown_only_where_there_is_one(last, shown):
    bar = EpochProgressBar()
    bar._trainer = SimpleNamespace(max_epochs=last)
    assert bar._get_train_description(3).rstrip() == shown
