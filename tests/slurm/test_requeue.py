"""Jobs in a real Slurm that are signalled: back into the queue, and on to the numbers of an unbroken run."""

import json
import shlex

import pytest
import yaml

from tests.support.trained_runs import trained

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

STEP = "4"  # no multiple of those after which the run saves of itself


@pytest.fixture(scope="module")
def experiment(tiny_experiment, tmp_path_factory):
    """The tiny student, which halts at the moment that SIGNAL_AT names until it is signalled."""
    content = yaml.safe_load(tiny_experiment.read_text())
    content["trainer"]["callbacks"].append({"class_path": "tests.support.signal_at_step.Signal"})
    path = tmp_path_factory.mktemp("slurm") / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def unbroken(cluster, tiny_experiment):
    """The folder of a run of one process that nothing stopped, outside of Slurm."""
    return trained(tiny_experiment)


def same_numbers(folder, other):
    """Whether two runs have the same metrics, answers with their scores, and weights."""
    written = ("metrics.json", "predictions.jsonl", "adapter/adapter_model.safetensors")
    return all((folder / name).read_bytes() == (other / name).read_bytes() for name in written)


def submit_halting(cluster, shape, experiment, folder, *arguments):
    """Submit a run that halts once in the middle of its training, and wait until it does; the job."""
    halted = folder.with_suffix(".halted")
    command = (*shape, "slurm/fit.sbatch", str(experiment), f"out={folder}", *arguments)
    job = cluster.submit(*command, SIGNAL_AT=STEP, SIGNAL_ONCE=str(halted))
    cluster.wait(halted.exists)
    return job


def test_a_job_of_two_tasks_that_is_warned_goes_on_with_the_same_numbers(cluster, experiment, unbroken, tmp_path):
    whole, folder, scratch = tmp_path / "whole", tmp_path / "run", tmp_path / "scratch"
    shape = ("--nodes=2", "--ntasks-per-node=1", f"--export=ALL,WANDB_MODE=offline,KEDREC_SCRATCH={scratch}")
    first = cluster.submit(*shape, "slurm/fit.sbatch", str(experiment), f"out={whole}")
    cluster.wait_for(first, "COMPLETED", Restarts="0")
    job = submit_halting(cluster, shape, experiment, folder, "use.logger=wandb")
    cluster.call("scancel", "--signal=USR1", job)
    cluster.wait(lambda: "kedrec: stopped by SIGUSR1" in cluster.log(job))
    assert f"job {job} is back in Slurm's queue and goes on from the last checkpoint" in cluster.log(job)
    cluster.bring_forward(job)
    cluster.wait_for(job, "COMPLETED", Restarts="1", ExitCode="0:0")
    log = cluster.log(job)
    print(log, cluster.call("scontrol", "show", "job", job), cluster.call("sacct", "--completion"), sep="\n")
    print(*((place / "metrics.json").read_text() for place in (whole, folder)))
    assert same_numbers(folder, whole)
    assert json.loads((folder / "provenance.json").read_text())["processes"] == 2
    assert "started 0 times before" in log
    assert "started 1 times before" in log
    assert list(scratch.glob("kedrec-store/index/*/manifest.json"))  # it was read from there
    attempts = [path.name for path in (folder / "wandb").glob("offline-run-*")]
    assert len(attempts) == 2
    assert len({name.rsplit("-", 1)[1] for name in attempts}) == 1  # one run's id


def test_of_an_array_only_the_task_that_was_signalled_goes_back(cluster, experiment, unbroken, tmp_path):
    halted = tmp_path / "halted"
    folders = [tmp_path / "first", tmp_path / "second run"]
    trials = [["python", "-m", "kedrec.fit", str(experiment), f"out={folder}"] for folder in folders]
    trials[1][:0] = ["env", f"SIGNAL_AT={STEP}", f"SIGNAL_ONCE={halted}"]
    (tmp_path / "trials.txt").write_text("".join(shlex.join(trial) + "\n" for trial in trials))
    array = cluster.submit(
        "--array=1-2", f"--output={cluster.folder}/%A_%a.log", "slurm/sweep_array.sbatch", str(tmp_path / "trials.txt")
    )
    cluster.wait(halted.exists)
    cluster.call("scancel", "--signal=USR1", f"{array}_2")
    cluster.wait(lambda: f"job {array}_2 is back in Slurm's queue" in cluster.log(f"{array}_2"))
    cluster.bring_forward(f"{array}_2")
    cluster.wait_for(f"{array}_2", "COMPLETED", Restarts="1")
    cluster.wait_for(f"{array}_1", "COMPLETED", Restarts="0")
    assert "stopped" not in cluster.log(f"{array}_1")
    assert all(same_numbers(folder, unbroken) for folder in folders)


def test_a_job_that_slurm_itself_ends_saves_and_is_left_to_slurm(cluster, experiment, unbroken, tmp_path):
    folders = [tmp_path / "cancelled", tmp_path / "requeued"]
    cancelled, requeued = (submit_halting(cluster, (), experiment, folder) for folder in folders)
    cluster.call("scancel", cancelled)
    cluster.call("scontrol", "requeue", requeued)  # as a preemption without a grace time does
    cluster.wait_for(cancelled, "CANCELLED", Restarts="0")
    cluster.wait_for(requeued, "PENDING", Restarts="1")
    assert f"kedrec: stopped by SIGTERM; Slurm ends job {cancelled} itself" in cluster.log(cancelled)
    assert f"kedrec: stopped by SIGTERM; job {requeued} is back in Slurm's queue" in cluster.log(requeued)
    assert [saved_step(folder) for folder in folders] == [int(STEP)] * 2
    cluster.call("scancel", requeued)


def saved_step(folder):
    import torch

    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
