"""What the same command does after it was stopped: known where the work is done, said where it ends."""

STARTS_AGAIN = "starts again with what was prepared"
FROM_CHECKPOINT = "goes on from the last checkpoint"

_resumption = [STARTS_AGAIN]


def set_resumption(words: str) -> None:
    """Set what the same command would do from now on, as the end of a sentence: "goes on from the last checkpoint"."""
    _resumption[0] = words


def resumption() -> str:
    """Return what was set last."""
    return _resumption[0]
