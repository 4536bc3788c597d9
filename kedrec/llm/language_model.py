"""A language model that answers, whoever runs it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from kedrec.errors import KedrecError
from kedrec.llm.budget import Ledger
from kedrec.llm.requests import Answer, Prices, Request

Keep = Callable[[int, Answer], None]


class Ask(Protocol):
    """A model that answers.

    Attributes:
        name: names the model in the answers' log.
        local: whether the model runs on this machine; only such a one is shown patients' text.
        prices: of its tokens; ``None`` is free of charge.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def local(self) -> bool: ...  # noqa: D102

    @property
    def prices(self) -> Prices | None: ...  # noqa: D102

    def ask(self, requests: Sequence[Request], ledger: Ledger, keep: Keep) -> None:
        """Answer the requests, several at a time, in any order.

        Args:
            requests: what is asked.
            ledger: is told of each attempt before it is made, and may stop the run.
            keep: is called with the request's place and its answer as soon as it is there, one call at a time.

        Raises:
            KedrecError: the model cannot be reached or loaded, or the budget is spent; what ``keep`` got stays.
        """
        ...


def refuse_unless_local(model: Ask, requests: Sequence[Request]) -> None:
    """Raise where patients' text would leave this machine; no setting turns this off.

    Raises:
        KedrecError: a request is ``local_only`` and the model is not on this machine.
    """
    if not model.local and any(request.local_only for request in requests):
        raise KedrecError(
            f"the teacher {model.name!r} does not run on this machine, and these questions hold patients' text, which "
            "never leaves it; take a local model (kedrec.llm.local_model.LocalModel), or a server on 127.0.0.1"
        )
