"""When a request that failed is sent again: one policy for sources over HTTP and for models behind an endpoint."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedrec.sources.http.responses import AgainError

if TYPE_CHECKING:
    import tenacity

_LARGEST_POWER = 30


@dataclass(frozen=True)
class RetryPolicy:
    """How many tries a request has, and how long the waits between them are.

    A wait doubles with each failure, with a random part; a server that says how long to wait is given that time.

    Args:
        tries: of one request, the first included.
        patience: the longest wait between two tries, seconds; a server that asks for more ends the request.
        pause: about how long to wait before the second try, seconds.
    """

    tries: int
    patience: float
    pause: float

    def arguments(
        self,
        faults: tuple[type[Exception], ...],
        failures: "Callable[[tenacity.RetryCallState], int]" = lambda state: state.attempt_number,
        hopeless: Callable[[BaseException], bool] = lambda fault: False,
    ) -> dict[str, Any]:
        """Return the arguments of ``tenacity.Retrying`` or ``tenacity.AsyncRetrying``.

        Args:
            faults: exceptions after which another try is made; the last one is raised again.
            failures: returns how many tries count as failed so far.
            hopeless: whether no further try is made after a fault, however few tries there were.
        """
        import tenacity

        def wait(state: tenacity.RetryCallState) -> float:
            requested, jitter = requested_wait(_fault(state)), random.uniform(0.0, self.pause)
            if requested is not None:
                return requested + jitter
            return min(self.patience, self.pause * 2.0 ** min(failures(state) - 1, _LARGEST_POWER) + jitter)

        def stop(state: tenacity.RetryCallState) -> bool:
            fault = _fault(state)
            too_long = (requested_wait(fault) or 0.0) > self.patience
            return failures(state) >= self.tries or too_long or hopeless(fault)

        return {"wait": wait, "stop": stop, "retry": tenacity.retry_if_exception_type(faults), "reraise": True}


def requested_wait(fault: BaseException | None) -> float | None:
    """Return the seconds that the server of a failed try asked to wait, if it did."""
    return fault.after if isinstance(fault, AgainError) else None


def _fault(state: "tenacity.RetryCallState") -> BaseException:
    assert state.outcome is not None  # of a try that is over
    fault = state.outcome.exception()
    assert fault is not None  # tenacity waits and stops after failed tries alone
    return fault
