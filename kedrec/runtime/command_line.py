"""What every command does around its work: its help, one line for a fault, and an exit status."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from kedrec.errors import KedrecError
from kedrec.runtime.distributed import is_first, process_number
from kedrec.runtime.printable import printable
from kedrec.runtime.resumption import STARTS_AGAIN, resumption, set_resumption
from kedrec.runtime.signals import Preempted, stopped


class Arguments(argparse.ArgumentParser):
    """A parser of options whose faults are one line, as those of all input.

    Args:
        command: as it is called, ``python -m kedrec.NAME``.
    """

    def __init__(self, command: str) -> None:
        super().__init__(prog=command, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise the fault.

        Raises:
            KedrecError: always.
        """
        raise KedrecError(f"command line: {message}; see {self.prog} --help")


def run_command(
    document: str | None,
    arguments: Sequence[str] | None,
    work: Callable[[list[str]], int | None],
    interrupted: str | None = "nothing was written",
) -> int:
    """Run a command; return its exit status: 0, 2 for a fault of the input, 128 and more where it was stopped.

    Args:
        document: what ``--help``, or no argument at all, shows: the module's docstring.
        arguments: of the command line; ``None`` takes the process's own.
        work: from the arguments to an exit status; ``None`` stands for 0.
        interrupted: the message of Ctrl-C, after "stopped; "; ``None`` says what the same command does, which the work
            sets by `set_resumption`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given or given[0] in ("-h", "--help"):
        print(document)
        return 0 if given else 2
    set_resumption(STARTS_AGAIN)
    try:
        return work(given) or 0
    except KedrecError as fault:
        where = "" if is_first() else f"process {process_number()}: "
        print(printable(f"kedrec: {where}{fault}"), file=sys.stderr)  # it may quote a graph or a text
        return 2
    except Preempted as stop:
        return stopped(stop)
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning's trainer answers Ctrl-C by leaving with status 1.
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        print(f"\nkedrec: stopped; {interrupted or f'the same command {resumption()}'}", file=sys.stderr)
        return 130
