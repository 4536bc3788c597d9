"""The interface of a language model, local or behind an endpoint."""

from collections.abc import Callable, Sequence
from typing import Protocol

from kedrec.errors import KedrecError
from kedrec.llm.budget import Ledger
from kedrec.llm.requests import Answer, Prices, Request

Keep = Callable[[int, Answer], None]


class Ask(Protocol):
    """A language model that answers requests.

    Attributes:
        name: of the model in the answer cache.
        local: whether the model runs on this machine; patient data is sent only to such a model.
        prices: of its tokens; ``None`` if it is free.
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
            requests: the requests.
            ledger: records each attempt before it is made, and may stop the run.
            keep: called with the index of a request and its answer as soon as it arrives, one call at a time.

        Raises:
            KedrecError: the model cannot be reached or loaded, or the budget is spent; answers passed to ``keep`` stay.
        """
        ...


def refuse_unless_local(model: Ask, requests: Sequence[Request]) -> None:
    """Refuse to send patient data to a model on another machine; no setting turns this off.

    Raises:
        KedrecError: a request is ``local_only`` and the model is not on this machine.
    """
    if not model.local and any(request.local_only for request in requests):
        raise KedrecError(
            f"the teacher {model.name!r} does not run on this machine, and these requests hold patient data, which "
            "never leaves it; use a local model (kedrec.llm.local_model.LocalModel), or a server on 127.0.0.1"
        )
