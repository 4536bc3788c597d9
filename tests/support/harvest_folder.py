"""What a harvest left in its folder, and how one is stopped."""

import json
from contextlib import contextmanager

import pytest

from kedrec.sources.text.harvest import Harvest


def contents(folder):
    """Return the bytes of each file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def left_out(folder):
    """Return the ids that gave no document, by reason."""
    return json.loads((folder / "harvest.json").read_text())["left_out"]


@contextmanager
def stopped_after(pieces):
    """Expect the harvest within to be stopped, as by Ctrl-C, when it has kept so many pieces and wants to keep more."""
    keep, kept = Harvest.keep, []

    def stopping(self, piece, *rest, **more):
        if len(kept) == pieces:
            raise KeyboardInterrupt
        kept.append(piece)
        keep(self, piece, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Harvest, "keep", stopping)
        with pytest.raises(KeyboardInterrupt):
            yield
