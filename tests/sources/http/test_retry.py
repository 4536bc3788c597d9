"""One policy decides when a request is sent again."""

import pytest
import tenacity

from kedrec.sources.http.responses import AgainError
from kedrec.sources.http.retry import RetryPolicy


def tried(policy, faults, **further):
    """How often a request that fails so was sent, and the waits between."""
    waits, left = [], list(faults)

    def attempt():
        if left:
            raise left.pop(0)
        return "answer"

    retrying = tenacity.Retrying(**policy.arguments((AgainError,), **further), sleep=waits.append)
    try:
        return retrying(attempt), waits
    except AgainError as fault:
        return fault, waits


def test_waits_double_with_a_random_part_and_never_exceed_patience():
    answer, waits = tried(RetryPolicy(tries=8, patience=20.0, pause=1.0), [AgainError("no")] * 7)
    assert answer == "answer"
    for number, seconds in enumerate(waits):
        assert min(20.0, 2.0**number) <= seconds <= min(20.0, 2.0**number + 1.0)
    assert waits[-1] == 20.0


def test_tries_are_counted():
    last = AgainError("third")
    fault, waits = tried(RetryPolicy(3, 20.0, 1.0), [AgainError("first"), AgainError("second"), last, AgainError("x")])
    assert fault is last
    assert len(waits) == 2


def test_a_server_gets_the_time_that_it_asks_for_up_to_patience():
    answer, (wait,) = tried(RetryPolicy(3, 20.0, 1.0), [AgainError("busy", after=7.0)])
    assert answer == "answer"
    assert 7.0 <= wait <= 8.0
    fault, waits = tried(RetryPolicy(3, 20.0, 1.0), [AgainError("busy", after=21.0)])
    assert (fault.after, waits) == (21.0, [])


def test_tries_that_count_for_nothing_and_faults_without_hope():
    answer, waits = tried(RetryPolicy(2, 20.0, 1.0), [AgainError("cut")] * 9, failures=lambda state: 1)
    assert (answer, len(waits)) == ("answer", 9)
    fault, waits = tried(RetryPolicy(9, 20.0, 1.0), [AgainError("gone")] * 3, hopeless=lambda fault: True)
    assert (str(fault), waits) == ("gone", [])


def test_another_fault_is_raised_at_once():
    with pytest.raises(ZeroDivisionError):
        tried(RetryPolicy(9, 20.0, 1.0), [ZeroDivisionError()])
