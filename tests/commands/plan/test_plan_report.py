"""`--plan` by the real command line: what it prints and leaves alone, and that docs/scale.md is what it prints."""

import json
import re
import shlex
import subprocess
import sys

import pytest

from kedrec.fit import main
from tests.support.command_process import REPOSITORY

LLAMA_70B = REPOSITORY / "benchmarks" / "shapes" / "llama-3.1-70b" / "config.json"
OTHER_LORA = [f"model.init_args.base={LLAMA_70B.parent}", "model.init_args.lora.target_modules=[nothing]"]
WITH_PEAK = """
import sys
import time
from kedrec.fit import main
code = main(sys.argv[1:])
print("seconds", time.process_time())
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("peak kB", peak.split()[1])
raise SystemExit(code)
"""


@pytest.fixture(autouse=True)
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("KEDREC_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(REPOSITORY)
    return tmp_path / "store"


@pytest.fixture
def plan(capsys):
    def planned(*arguments):
        assert main([*arguments, "--plan"]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return planned


def cells(out, row):
    """The numbers of a row of the table of memory, by its header."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("|")]
    header = [f"{name} {at}" if name == "total" else name for at, name in enumerate(rows[0])]
    found = next(one for one in rows if one[0] == row)
    return dict(zip(header, found, strict=True))


@pytest.mark.slow
def test_70b_is_planned_in_seconds_without_memory_for_its_weights(tmp_path, empty_store):
    shape = tmp_path / "shape"
    shape.mkdir()
    (shape / "config.json").write_text(LLAMA_70B.read_text())
    command = ["experiments/both_sources.yaml", f"model.init_args.base={shape}", "--plan", "--gpus=8"]
    command.append("model.init_args.lora.layers_to_transform=null")
    done = subprocess.run(
        [sys.executable, "-c", WITH_PEAK, *command], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(re.search(r"peak kB (\d+)", done.stdout)[1]) * 1024 < 2 * 2**30
    assert float(re.search(r"seconds (\S+)", done.stdout)[1]) < 60  # of a processor; some 10
    assert "70,760,800,256, of which 207,093,760 are trained (0.29%)" in done.stdout
    assert cells(done.stdout, "one process or DDP")["fits"] == "no"
    assert cells(done.stdout, "ZeRO-3")["fits"] == "checkpointed"
    assert not empty_store.exists()
    assert sorted(path.name for path in shape.iterdir()) == ["config.json"]


def test_a_plan_leaves_no_run_folder_and_an_empty_store_empty(plan, tmp_path, empty_store):
    out = plan("experiments/both_sources.yaml", f"out={tmp_path / 'run'}")
    assert "136,143,168, of which 1,628,160 are trained (1.20%)" in out
    assert not (tmp_path / "run").exists()
    assert not empty_store.exists()


def test_processes_batches_and_steps_multiply(plan, tiny_base, tmp_path):
    settings = (f"model.init_args.base={tiny_base}", "use.model=student_full", "data.init_args.loader.batch_size=3")
    one = plan("experiments/both_sources.yaml", *settings)
    many = plan("experiments/both_sources.yaml", *settings, "trainer.accumulate_grad_batches=4", "--gpus=2")
    assert "3 conversations of at most 768 tokens: 2,304 tokens, 219 of them of answers" in one
    assert "2 processes x 4 batches x 3 conversations of at most 768 tokens: 18,432 tokens" in many
    each, all_ = (float(re.search(r"FLOPs +([\d.e+]+) a step", out)[1]) for out in (one, many))
    assert all_ == pytest.approx(8 * each, rel=0.01)
    short = plan("experiments/both_sources.yaml", *settings, "--tokens=100", "--supervised=10", "--steps=1000")
    assert "300 tokens, 30 of them of answers" in short
    assert "for 1,000 steps" in short


def test_time_follows_peak_and_share(plan, tiny_base):
    settings = ("experiments/both_sources.yaml", f"model.init_args.base={tiny_base}", "use.model=student_full")

    def milliseconds(*options):
        number, unit = re.search(r"time +([\d.]+) (s|ms|us) a step", plan(*settings, *options)).groups()
        return float(number) * {"s": 1e3, "ms": 1.0, "us": 1e-3}[unit]

    slow = milliseconds("--peak-tflops=1", "--mfu=0.2")
    assert milliseconds("--peak-tflops=2", "--mfu=0.4") == pytest.approx(slow / 4, rel=0.02)
    assert milliseconds("--gpu=h100") > milliseconds("--gpu=h100", "trainer.precision=bf16-true")


def test_embeddings_are_planned_for_a_graph_that_is_there_and_for_one_that_is_not(plan):
    there = plan("experiments/transe_base.yaml")
    assert "820,400, all trained: 2,032 x 400 of entities, 19 x 400 of relations" in there
    settings = ("experiments/transe_base.yaml", "--entities=100000000", "--relations=1000", "--gpus=8")
    lazy, dense = plan(*settings), plan(*settings, "model.init_args.optimizer.name=adam")
    assert float(cells(lazy, "one process or DDP")["optimizer"].replace(",", "")) == pytest.approx(298, abs=1)
    assert cells(lazy, "rows sharded (not in kedrec)")["tables"] == "18.63"
    assert cells(dense, "one process or DDP")["gradients"] == cells(dense, "one process or DDP")["tables"] == "149"


def test_a_model_that_its_data_make_is_said_to_be_unknown(plan):
    assert "not known: KGT5 is made when its data are prepared" in plan("experiments/kgt5.yaml")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["experiments/both_sources.yaml", "--gpus=0"], "--gpus: 0; expected a number above 0"),
        (["experiments/both_sources.yaml", "--mfu", "half"], "invalid float value"),
        (["experiments/both_sources.yaml", "--gpu=tpu"], "invalid choice"),
        (["experiments/absent.yaml"], "no such file"),
        ([], "experiment"),
        (["experiments/both_sources.yaml", "--gpuss=3"], "gpuss"),
        (["experiments/transe_base.yaml", "graph=absent.tsv"], "is told by --entities and --relations"),
        (["experiments/transe_base.yaml", "--entities=5"], "--entities and --relations go together"),
        (["experiments/both_sources.yaml", "model.init_args.base=kedrec"], "no config.json"),
        (["experiments/both_sources.yaml", *OTHER_LORA], "model.init_args.lora: Target modules"),
        (["experiments/both_sources.yaml", "data.class_path=kedrec.lladr.triple_data.TripleData"], "data"),
    ],
)
def test_faults_are_one_line(arguments, told, capsys):
    assert main([*arguments, "--plan"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kedrec: ")
    assert told in error
    assert len(error.strip().splitlines()) == 1


def test_a_config_that_is_none_is_one_line(tmp_path, capsys):
    for content in ("{", json.dumps({"model_type": "no-such-model"})):
        (tmp_path / "config.json").write_text(content)
        assert main(["experiments/both_sources.yaml", f"model.init_args.base={tmp_path}", "--plan"]) == 2
        error = capsys.readouterr().err
        assert "config.json" in error
        assert len(error.strip().splitlines()) == 1


def printed_in(page):
    """Each command of a page that ends in ``--plan`` or has it, with the block of text behind it."""
    pairs = re.findall(r"```sh\n(python -m kedrec\.fit [^`]*--plan[^`]*)```\n+```text\n(.*?)```", page, re.DOTALL)
    return [(shlex.split(command.replace("\\\n", " "))[3:], shown) for command, shown in pairs]


SCALE = REPOSITORY / "docs" / "scale.md"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [pytest.param(*pair, id=f"command {at}") for at, pair in enumerate(printed_in(SCALE.read_text()))],
)
def test_the_page_on_scale_shows_what_is_printed(arguments, shown, capsys):
    assert main(arguments) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert shown in printed


def test_the_page_on_scale_has_the_plans_that_it_is_about():
    commands = [" ".join(arguments) for arguments, _ in printed_in(SCALE.read_text())]
    for shape in ("8b", "70b"):
        for processes in ("1", "8", "64"):
            assert any(f"llama-3.1-{shape}" in one and one.endswith(f"--gpus={processes}") for one in commands)
    assert any("--entities=100000000" in one for one in commands)
