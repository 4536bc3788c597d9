"""The frame of every command: its help, one line for an error of the user, and an exit status."""

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
    """A parser of options that reports an error in one line, like every other error of the user.

    Args:
        command: how the command is called, ``python -m kedrec.NAME``.
    """

    def __init__(self, command: str) -> None:
        super().__init__(prog=command, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise an error with the message.

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
    """Run a command; return its exit status: 0, 2 for an error of the user, 128 or more if it was stopped.

    Args:
        document: text of ``--help``, also shown without any argument: the module's docstring.
        arguments: of the command line; ``None`` takes those of the process.
        work: function from the arguments to an exit status; ``None`` means 0.
        interrupted: message after Ctrl-C, following "stopped; "; ``None`` states what the same command would do, which
            the work sets by `set_resumption`.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words or words[0] in ("-h", "--help"):
        print(document)
        return 0 if words else 2
    set_resumption(STARTS_AGAIN)
    try:
        return work(words) or 0
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
