"""What several processes agree on, in real ones."""

import pytest

from kedrec.runtime.distributed import any_process, gathered, is_first, process_number
from tests.support.forked_command import ForkedCommand

SCRIPT = """
import sys
import torch.distributed as dist
from kedrec.runtime.distributed import any_process, gathered

rank, port = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{port}", rank=rank, world_size=3)
assert gathered([rank] * rank) == [1, 2, 2], gathered([rank] * rank)
assert any_process(rank == 2)
assert not any_process(False)
dist.destroy_process_group()
"""


def test_alone_everything_is_as_it_was():
    assert gathered([1, "a"]) == [1, "a"]
    assert any_process(True)
    assert not any_process(False)


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ({}, 0),
        ({"RANK": "3", "LOCAL_RANK": "1"}, 3),
        ({"SLURM_PROCID": "2"}, 2),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, 1),
    ],
)
def test_each_launcher_tells_the_number_in_its_own_way(monkeypatch, told, number):
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert process_number() == number
    assert is_first() == (number == 0)
    monkeypatch.setenv("NODE_RANK", "1")
    assert not is_first()


@pytest.mark.slow
def test_three_processes_agree(tmp_path):
    script = tmp_path / "agree.py"
    script.write_text(SCRIPT)
    begun = [ForkedCommand(str(script), rank, tmp_path / "meet") for rank in range(3)]
    for process in begun:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
