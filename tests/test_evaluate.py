"""``python -m kedrec.evaluate`` on small runs, made by the real command line."""

import json
import shutil

import pytest
import yaml

from kedrec.evaluate import main
from tests.support.command_process import REPOSITORY, run
from tests.support.trained_runs import trained


@pytest.fixture(scope="module")
def student(tiny_experiment):
    return trained(tiny_experiment)


@pytest.fixture
def copied(student, tmp_path):
    """A copy of the run, to be damaged."""
    return shutil.copytree(student, tmp_path / "run")


def numbers(place):
    return json.loads((place / "metrics.json").read_text())


def own_numbers(folder):
    return {name: value for name, value in numbers(folder).items() if name.startswith("test/")}


def answers(place):
    return [json.loads(line) for line in (place / "predictions.jsonl").read_text().splitlines()]


def the_only_evaluation(folder):
    (place,) = (folder / "evaluations").iterdir()
    return place


def refused(capsys, *arguments):
    """The one line of a command that does not do what was asked."""
    assert main([str(one) for one in arguments]) == 2
    found = capsys.readouterr()
    lines = [line for line in found.err.splitlines() if line.startswith("kedrec: ")]
    assert len(lines) == 1, found.err
    assert "Traceback" not in found.err
    return lines[0]


@pytest.mark.slow
def test_without_overrides_it_comes_to_the_runs_own_numbers(student, tmp_path):
    folder = shutil.copytree(student, tmp_path / "run")
    done = run(folder, module="kedrec.evaluate")
    assert done.returncode == 0, done.stderr
    assert f"all {len(own_numbers(folder))} numbers are those of the run" in done.stdout
    place = the_only_evaluation(folder)
    assert str(place) in done.stdout
    assert numbers(place) == own_numbers(folder)
    for name in ("predictions.jsonl", "audits.jsonl"):
        assert (place / name).read_text() == (folder / name).read_text()
    record = json.loads((place / "provenance.json").read_text())
    assert record["overrides"] == {}
    assert record["weights"] == "checkpoints/best.ckpt"
    assert sorted(path.name for path in place.iterdir()) == [
        "audits.jsonl",
        "config.yaml",
        "metrics.json",
        "predictions.jsonl",
        "provenance.json",
    ]


def test_from_the_adapter_where_the_checkpoints_are_gone(copied, capsys):
    shutil.rmtree(copied / "checkpoints")
    assert main([str(copied)]) == 0
    assert "numbers are those of the run" in capsys.readouterr().out
    assert json.loads((the_only_evaluation(copied) / "provenance.json").read_text())["weights"] == "adapter"


def test_other_weights_are_told_from_the_runs(copied, capsys):
    import torch

    path = copied / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for name, value in checkpoint["state_dict"].items():
        if "lora_B" in name:
            value.normal_(generator=torch.Generator().manual_seed(0))
    torch.save(checkpoint, path)
    assert main([str(copied)]) == 0
    assert "numbers differ from the run's: test/" in capsys.readouterr().out


def test_overrides_ask_for_another_test_in_a_folder_of_their_own(copied, capsys):
    arguments = ["data.init_args.prompt.passage_order=question", "--model.init_args.max_new_tokens=3"]
    assert main([str(copied), *arguments]) == 0
    assert "numbers are those" not in capsys.readouterr().out
    place = the_only_evaluation(copied)
    settings = yaml.safe_load((place / "config.yaml").read_text())
    assert settings["data"]["init_args"]["prompt"]["passage_order"] == "question"
    rows = [
        [json.loads(line) for line in (at / "predictions.jsonl").read_text().splitlines()] for at in (copied, place)
    ]
    assert [row["pair"] for row in rows[0]] == [row["pair"] for row in rows[1]]
    assert [row["passages"] for row in rows[0]] != [row["passages"] for row in rows[1]]
    before = place.stat().st_ino
    assert main([str(copied), *reversed(arguments)]) == 0  # the same test, in place of the first
    assert the_only_evaluation(copied) == place
    assert place.stat().st_ino != before


def test_questions_that_the_run_was_trained_on_are_counted(copied, tiny_experiment, tmp_path, capsys):
    from dataclasses import replace

    from kedrec.splits.pairs import load_pairs, save_pairs

    pairs = load_pairs(tiny_experiment.parent / "p")
    exchanged = {"train": "test", "test": "train", "validation": "validation"}
    save_pairs([replace(pair, split=exchanged[pair.split]) for pair in pairs], tmp_path / "p")
    assert main([str(copied), f"data.init_args.pairs.file={tmp_path / 'p'}"]) == 0
    assert "10 of 10 test pairs ask of an answer the run was trained on" in capsys.readouterr().out
    facts = json.loads((the_only_evaluation(copied) / "provenance.json").read_text())["data"]
    assert "10 of 10" in facts["seen"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.init_args.lora.r=8", "it cannot change after training"),
        ("model.init_args.base=elsewhere", "it cannot change after training"),
        ("data.init_args.base=elsewhere", "it cannot change after training"),
        ("model.init_args.max_new_token=8", "did you mean 'max_new_tokens'"),
        ("trainer.max_steps=8", "no setting of a test"),
        ("seed=1", "expected data.init_args"),
        ("data.init_args.retrieval.sauces=[pmc]", "did you mean 'sources'"),
        ("data.init_args.retrieval.sources=[pcm]", "did you mean 'pmc'"),
        ("passage_order", "expected key=value"),
    ],
)
def test_what_cannot_be_overridden_is_one_line(student, capsys, override, words):
    assert words in refused(capsys, student, override)
    assert not (student / "evaluations").exists()


def test_what_is_no_finished_run_is_one_line(copied, tmp_path, capsys):
    assert "expected the folder of a run" in refused(capsys, tmp_path / "nowhere")
    (copied / "metrics.json").unlink()
    assert "the run is not finished" in refused(capsys, copied)


def test_weights_of_another_model_are_refused(copied, capsys):
    import torch

    path = copied / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    name = next(iter(checkpoint["state_dict"]))
    whole = dict(checkpoint["state_dict"])
    del checkpoint["state_dict"][name]
    torch.save(checkpoint, path)
    assert f"missing parameter '{name}'" in refused(capsys, copied)
    torch.save({"state_dict": {**whole, name: whole[name][:1]}}, path)
    assert "do not fit the model" in refused(capsys, copied)
    shutil.rmtree(copied / "checkpoints")
    shutil.rmtree(copied / "adapter")
    assert "no other weights" in refused(capsys, copied)


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory, store):
    """A run of TransE on the sample's graph."""
    path = tmp_path_factory.mktemp("kge") / "transe.yaml"
    content = yaml.safe_load((REPOSITORY / "experiments" / "transe_base.yaml").read_text())
    content["model"] = {"init_args": {"dim": 16, "compiled": False}}
    groups = {"split": {"unseen_diseases": 5}, "loader": {"batch_size": 256}, "negatives": {"count": 16, "chunks": 4}}
    content["data"] = {"init_args": groups}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    content["trainer"] = {"accelerator": "cpu", "max_steps": 20, "val_check_interval": 10, **quiet}
    path.write_text(yaml.safe_dump(content))
    return trained(path)


def test_embeddings_are_tested_again_too(embeddings, tmp_path, capsys):
    folder = shutil.copytree(embeddings, tmp_path / "run")
    assert main([str(folder)]) == 0
    assert f"all {len(own_numbers(folder))} numbers are those of the run" in capsys.readouterr().out
    assert (the_only_evaluation(folder) / "predictions.jsonl").read_text() == (folder / "predictions.jsonl").read_text()


def test_another_split_of_the_graph_tells_what_was_trained_on(embeddings, tmp_path, capsys):
    folder = shutil.copytree(embeddings, tmp_path / "run")
    assert main([str(folder), "data.init_args.seed=1"]) == 0
    assert "held-out triples of these data are in the training set of the run" in capsys.readouterr().out


def test_another_graph_is_refused(embeddings, tmp_path, capsys):
    lines = (REPOSITORY / "kedrec" / "sample" / "triples.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "triples.tsv").write_text("".join(lines[:-5]).replace("DB00945", "DB99999"))
    words = refused(capsys, embeddings, f"data.init_args.graph={tmp_path / 'triples.tsv'}")
    assert "can be tested on that graph alone" in words
