"""The one exception that a user can cause; everything else is a bug and shows its trace."""

import difflib
from collections.abc import Callable, Iterable, Mapping


class KedrecError(Exception):
    """A fault in the input or the machine: says what, where, what was expected and what to do, in one message."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known word nearest to ``word``, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def check_least(group: str, least: float, **values: float | None) -> None:
    """Raise unless each of a constructor's settings is ``least`` or more, or ``None``.

    Raises:
        KedrecError: names ``<group>.init_args.<setting>``, its value and what was expected.
    """
    _check(group, f"expected {least:g} or more", lambda value: value >= least, values)


def check_above_zero(group: str, **values: float | None) -> None:
    """The same for numbers above 0."""
    _check(group, "expected a number above 0", lambda value: value > 0, values)


def check_share(group: str, **values: float | None) -> None:
    """The same for shares, 0 to 1."""
    _check(group, "expected a share, 0 to 1", lambda value: 0 <= value <= 1, values)


def check_share_below_one(group: str, **values: float | None) -> None:
    """The same for shares that must leave something, as a dropout's must."""
    _check(group, "expected a share, 0 to less than 1", lambda value: 0 <= value < 1, values)


def _check(group: str, expected: str, fine: Callable[[float], bool], values: Mapping[str, float | None]) -> None:
    for name, value in values.items():
        if value is not None and not fine(value):
            raise KedrecError(f"{group}.init_args.{name}: {value}; {expected}")
