"""Progress of long work, told by whoever does it and shown by the command that runs: without one it is silent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Told = Callable[[str, int, int | None], None]  # what, done so far, of how many where that is known

_told: list[Told] = []


def tell(what: str, done: int, total: int | None = None) -> None:
    """Say that ``done`` of ``total`` of some work is done; the unit stands in ``what``, e.g. "passages embedded"."""
    for one in _told:
        one(what, done, total)


@contextmanager
def told_to(listener: Told) -> Iterator[None]:
    """Within the block `tell` reaches ``listener``."""
    _told.append(listener)
    try:
        yield
    finally:
        _told.remove(listener)


@contextmanager
def shown_as_bars() -> Iterator[None]:
    """Within the block progress is shown on stderr: as bars on a terminal, elsewhere as a line at each tenth."""
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
