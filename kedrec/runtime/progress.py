"""Progress of long work: functions report it, and a command shows it; without a command nothing is printed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str, int, int | None], None]  # what is done, how much so far, how much in all if known

_listeners: list[Listener] = []


def tell(what: str, done: int, total: int | None = None) -> None:
    """Report progress.

    Args:
        what: the work with its unit, such as "passages embedded".
        done: units so far.
        total: units in all, if known.
    """
    for listener in _listeners:
        listener(what, done, total)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Within the block call ``listener`` with what `tell` reports."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def shown_as_bars() -> Iterator[None]:
    """Within the block show progress on stderr: as bars on a terminal, elsewhere as a line at each tenth."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    tenths: dict[str, int] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    if console.is_terminal:
        with Progress(*columns, console=console) as bars:

            def bar(what: str, done: int, total: int | None) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total)
                bars.update(tasks[what], completed=done, total=total)

            with told_to(bar):
                yield
        return

    def line(what: str, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else 0
        if tenth > tenths.get(what, 0 if total else -1):
            tenths[what] = tenth
            print(f"{what}: {done:,}{f' of {total:,}' if total else ''}", file=sys.stderr, flush=True)

    with told_to(line):
        yield
