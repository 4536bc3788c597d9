"""``python -m kedrec.prepare`` that is killed, or started twice at once: the same bytes come out."""

import random
import signal
import time

import pytest

from tests.support.command_process import run
from tests.support.forked_command import ForkedCommand, run_forked
from tests.support.small_data_set import hashes, prepared_once

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(small_data_set):
    return prepared_once(small_data_set)


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_a_random_moment_it_ends_with_the_same_bytes(small_data_set, prepared, tmp_path, seed):
    folder = prepared
    store = {"KEDREC_STORE": str(tmp_path / "store")}
    process = ForkedCommand("kedrec.prepare", small_data_set, f"out={tmp_path / 'set'}", **store)
    moments = random.Random(seed)
    # Counted in artefacts, not in seconds: a slow machine is killed in the midst of the work, too.
    wanted, give_up = moments.randrange(5), time.monotonic() + 200
    while process.poll() is None and time.monotonic() < give_up:
        begun = [path for path in (tmp_path / "store").glob("*/*") if path.suffix != ".lock"]
        if len(begun) > wanted:
            break
        time.sleep(0.002)
    time.sleep(moments.random() * 0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = run_forked(small_data_set, f"out={tmp_path / 'set'}", module="kedrec.prepare", **store)
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "set") == hashes(folder / "set")


def test_of_two_processes_one_builds_and_one_waits(small_data_set, prepared, tmp_path):
    store = {"KEDREC_STORE": str(tmp_path / "store")}
    started = [
        ForkedCommand("kedrec.prepare", small_data_set, f"out={tmp_path / str(number)}", **store) for number in range(2)
    ]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert hashes(tmp_path / "0") == hashes(tmp_path / "1") == hashes(prepared / "set")


def test_a_process_of_its_own_makes_the_same_bytes(small_data_set, prepared, tmp_path):
    done = run(small_data_set, f"out={tmp_path / 'set'}", module="kedrec.prepare", KEDREC_STORE=str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "set") == hashes(prepared / "set")
