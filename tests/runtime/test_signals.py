"""Signals outside of loops, and what is said to Slurm behind them."""

import os
import signal
import threading

import pytest

from kedrec.runtime.resumption import FROM_CHECKPOINT, STARTS_AGAIN, set_resumption
from kedrec.runtime.signals import HEARD, Preempted, defer, heard, preemptible, stopped


@pytest.fixture(autouse=True)
def handlers_and_job(monkeypatch):
    """The handlers of the test run, back after each test; no Slurm job around it."""
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    before = {one: signal.getsignal(one) for one in HEARD}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM"])
def test_outside_of_loops_a_signal_stops_at_once(name):
    with pytest.raises(Preempted, match=name), preemptible():
        os.kill(os.getpid(), signal.Signals[name])
        pytest.fail("the signal should have stopped this")  # a KeyboardInterrupt's kind: not caught as an Exception
    assert heard() == signal.Signals[name]
    os.kill(os.getpid(), signal.SIGTERM)  # while the job is put back into the queue a second one is ignored
    assert heard() == signal.Signals[name]


def test_a_signal_is_no_exception_that_work_may_catch():
    with pytest.raises(Preempted), preemptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pytest.fail("caught as a fault")


def test_deferred_a_signal_is_noted_and_the_first_one_counts():
    with preemptible():
        defer()
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard() == signal.SIGUSR1


def test_the_old_handlers_return_and_a_thread_is_left_alone():
    came = []
    signal.signal(signal.SIGUSR1, lambda *_: came.append("old"))
    with preemptible():
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
    assert came == ["old"]

    def work():
        with preemptible():
            os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert came == ["old", "old"]


@pytest.mark.slow
def test_a_forked_worker_ends_by_sigterm_and_lives_through_sigusr1():
    with preemptible():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
    assert heard() is None


def test_of_several_processes_the_others_wait_for_the_first(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    with preemptible():
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard() == signal.SIGTERM
    assert stopped(Preempted(signal.SIGTERM)) == 0


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A stand-in for Slurm's command, first on the PATH, that notes how it was called."""
    calls = tmp_path / "calls"
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "scontrol"
    command.write_text(
        f"""#!/bin/sh
echo "$@" >> {calls}
[ "$1" = "--oneliner" ] && echo "JobId=$4 JobState=${{FAKE_STATE:-RUNNING}} Restarts=${{FAKE_RESTARTS:-0}}" && exit 0
[ -z "$FAKE_FAULT" ] || {{ echo "$FAKE_FAULT" >&2; exit 1; }}
"""
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    return lambda: calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def checkpoint():
    """As while a run has a checkpoint."""
    set_resumption(FROM_CHECKPOINT)
    yield
    set_resumption(STARTS_AGAIN)


@pytest.mark.slow
def test_under_slurm_the_job_is_put_back_into_the_queue(scontrol, checkpoint, capsys):
    assert stopped(Preempted(signal.SIGUSR1)) == 128 + signal.SIGUSR1
    assert scontrol() == ["requeue 17"]
    assert capsys.readouterr().err == (
        "kedrec: stopped by SIGUSR1; job 17 is back in Slurm's queue and goes on from the last checkpoint\n"
    )


@pytest.mark.slow
def test_of_an_array_the_task_alone(scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "15")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    stopped(Preempted(signal.SIGTERM))
    assert scontrol() == ["--oneliner show job 15_2", "requeue 15_2"]


@pytest.mark.slow
def test_a_cancelled_job_stays_cancelled(scontrol, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_STATE", "COMPLETING")  # what Slurm says of a job that it is ending
    assert stopped(Preempted(signal.SIGTERM)) == 143
    assert scontrol() == ["--oneliner show job 17"]
    assert "Slurm ends job 17 itself (COMPLETING); submitted again" in capsys.readouterr().err


@pytest.mark.slow
def test_a_job_that_slurm_has_requeued_is_not_requeued_twice(scontrol, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setenv("FAKE_STATE", "COMPLETING")
    monkeypatch.setenv("FAKE_RESTARTS", "2")
    assert stopped(Preempted(signal.SIGTERM)) == 143
    assert scontrol() == ["--oneliner show job 17"]
    assert "job 17 is back in Slurm's queue" in capsys.readouterr().err


@pytest.mark.slow
def test_what_scontrol_answers_is_told_in_one_line(scontrol, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_FAULT", "Requested operation is presently disabled for job 17")
    assert stopped(Preempted(signal.SIGUSR1)) == 138
    monkeypatch.setenv("PATH", "/nowhere")
    assert stopped(Preempted(signal.SIGUSR1)) == 138
    disabled, missing = capsys.readouterr().err.splitlines()
    assert "could not be put back into Slurm's queue (Requested operation is presently disabled" in disabled
    assert "No such file or directory: 'scontrol'" in missing
    assert "submitted again, it starts again with what was prepared" in missing


def test_without_slurm_the_line_says_how_to_go_on(checkpoint, capsys):
    assert stopped(Preempted(signal.SIGTERM)) == 143
    expected = "kedrec: stopped by SIGTERM; the same command goes on from the last checkpoint\n"
    assert capsys.readouterr().err == expected


def test_without_a_checkpoint_the_line_speaks_of_none(capsys):
    assert stopped(Preempted(signal.SIGTERM)) == 143
    expected = "kedrec: stopped by SIGTERM; the same command starts again with what was prepared\n"
    assert capsys.readouterr().err == expected
