"""docs/extending.md: its code is that of the toy extensions, which train and test a small model from outside."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.fit import main as fit
from kedrec.sources.text.documents import read_documents
from kedrec.training.experiment_objects import build
from kedrec.training.loaded_run import open_run
from tests.support.command_process import REPOSITORY

PAGE = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
EXTENSIONS = REPOSITORY / "tests" / "support" / "extensions"
NAMES = ["squared_transe", "csv_notes", "small_base", "named_drug", "pointing_teacher"]
QUICK = [
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.enable_model_summary=false",
    "trainer.max_steps=4",
    "trainer.val_check_interval=4",
]


def section(name):
    """The part of the page that shows an extension."""
    (found,) = (part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if f"`{name}.py`" in part)
    return found


def block(name, language):
    """The first block of a language in the part that shows an extension."""
    return re.search(rf"```{language}\n(.*?)```", section(name), re.DOTALL).group(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, store):
    """A user's folder with the page's files, the current one, whose modules Python finds."""
    place = tmp_path_factory.mktemp("user")
    for name in NAMES:
        shutil.copy(EXTENSIONS / f"{name}.py", place)
        (place / f"{name}.yaml").write_text(block(name, "yaml"))
    with (place / "notes.csv").open("w", newline="", encoding="utf-8") as file:
        notes = csv.writer(file)
        notes.writerow(["id", "title", "text"])
        for document in read_documents(REPOSITORY / "kedrec" / "sample" / "passages.jsonl"):
            notes.writerow([document.id, document.title, document.text])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        patch.chdir(place)
        yield place
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_file(name):
    assert block(name, "python") == (EXTENSIONS / f"{name}.py").read_text(encoding="utf-8")


def test_each_experiment_of_the_page_is_trained_by_a_command_of_the_page():
    for name in NAMES:
        assert f"python -m kedrec.fit {name}.yaml\n" in block(name, "sh")
        assert f"`{name}.yaml`" in section(name)


@pytest.mark.parametrize("name", NAMES)
def test_each_experiment_builds(name, folder):
    built = build(compose(folder / f"{name}.yaml"))
    part = {
        "squared_transe": lambda: built.model.formula,
        "csv_notes": lambda: built.data.pair_source.texts,
        "small_base": lambda: built.model.base,
        "named_drug": lambda: built.model.metrics[0],
        "pointing_teacher": lambda: built.data.teacher,
    }[name]()
    class_path = re.search(r"class_path: (\w+\.\w+)", block(name, "yaml"))
    used = f"{type(part).__module__}.{type(part).__qualname__}" if class_path else part
    assert used == (class_path.group(1) if class_path else "small_base")


def test_the_scorer_trains_an_embedding_that_ranks_by_its_formula(folder):
    small = ["model.init_args.dim=8", "data.init_args.loader.batch_size=256", "data.init_args.negatives.count=16"]
    assert fit(["squared_transe.yaml", f"out={folder / 'kge'}", *QUICK, *small]) == 0
    from kedrec.graph.trained_embeddings import Exported

    exported = Exported.load(folder / "kge")
    query = exported.scorer.query(exported.entity[3], exported.relation[0], "tail")
    expected = exported.scorer.gamma - ((exported.entity[3] + exported.relation[0] - exported.entity) ** 2).sum(1)
    assert exported.scorer.pairs(query, exported.entity) == pytest.approx(expected, rel=1e-5)
    assert type(exported.scorer).__module__ == "squared_transe"


@pytest.fixture(scope="module")
def student(folder, tiny_encoder_folder):
    """The run of a student with text source, base, metric and teacher from outside: the page's experiments in one."""
    import small_base

    small_base.write_base(str(REPOSITORY / "kedrec" / "sample" / "passages.jsonl"), str(folder / "small_base"))
    parts = [OmegaConf.load(folder / f"{name}.yaml") for name in NAMES[1:]]
    OmegaConf.save(OmegaConf.merge(*parts), folder / "together.yaml")
    small = [
        "model.init_args.max_new_tokens=4",
        "model.init_args.lora.r=4",
        f"data.init_args.retrieval.encoder={tiny_encoder_folder}",
        "data.init_args.pairs.limits={train: 12, validation: 2, test: 3}",
        "data.init_args.evaluation.audits=[]",
    ]
    assert fit(["together.yaml", f"out={folder / 'student'}", *QUICK, *small]) == 0
    return folder / "student"


def rows_of(run, name="predictions"):
    return [json.loads(line) for line in (run / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_student_is_of_the_base(student):
    adapter = json.loads((student / "adapter" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "small_base"
    assert adapter["layers_to_transform"] is None


def test_its_passages_are_those_of_the_text_source(student, folder):
    with (folder / "notes.csv").open(newline="", encoding="utf-8") as file:
        texts = {row["id"]: row["text"] for row in csv.DictReader(file)}
    rows = rows_of(student)
    assert all(row["passages"] for row in rows)
    assert {one.partition("#")[0] for row in rows for one in row["passages"]} <= texts.keys()
    facts = json.loads((student / "provenance.json").read_text())["data"]
    assert facts["passages"] > 300


def test_its_rationales_are_those_of_the_teacher(student):
    references = [row["reference"] for row in rows_of(student)]
    assert references
    assert all(re.fullmatch(r".+ relieves .+ \[\d\]\.", one) for one in references)
    assert json.loads((student / "provenance.json").read_text())["data"]["teacher"] == "PointingTeacher"


@pytest.mark.parametrize(("head", "file"), [("test", "predictions"), ("base", "predictions_base")])
def test_its_metric_is_that_of_its_rows(student, head, file):
    explained = [row for row in rows_of(student, file) if "rationale" in row]
    share = sum(row["drugs"][row["choice"]].lower() in row["rationale"].lower() for row in explained) / len(explained)
    metrics = json.loads((student / "metrics.json").read_text())
    assert metrics[f"{head}/named_drug"] == pytest.approx(share)
    assert re.search(r"^\| named_drug \| \d\.\d{3} \| \d\.\d{3} \|$", (student / "README.md").read_text(), re.MULTILINE)
    assert "named_drug" in json.loads((student / "provenance.json").read_text())["closing_metrics"]


def test_a_finished_run_is_tested_by_a_metric_that_it_was_not_trained_with(student):
    (override,) = re.findall(r"kedrec.evaluate \S+ '(.+)'", section("named_drug"))
    experiment = open_run(student, [override]).experiment
    assert type(build(experiment).model.metrics[0]).__name__ == "NamedDrug"
    without = open_run(student, ["model.init_args.metrics=[]"]).experiment
    assert len(build(without).model.metrics) == 0


def test_the_report_shows_the_metric(student):
    from kedrec.commands.report.reported_runs import find_runs
    from kedrec.commands.report.run_groups import group_runs
    from kedrec.commands.report.student_tables import audit_table

    runs, _ = find_runs([student])
    (group,) = group_runs(runs, "")
    table = audit_table([group], group.data)
    heading = [row[0] for row in table.rows].index("Metrics from outside the package")
    assert table.rows[heading + 1][0] == "named_drug"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("model.init_args.metrics=[{class_path: named_drug.Name}]", "metrics.class_path: .* no attribute 'Name'"),
        ("model.init_args.metrics=[{class_path: csv_notes.CsvNotes}]", "metrics: csv_notes.CsvNotes; .* of Metric$"),
        ("data.init_args.texts={class_path: named_drug.NamedDrug}", "texts: named_drug.NamedDrug; .* of TextSource$"),
        ("data.init_args.texts={class_path: notes.Notes}", "texts.class_path: No module named 'notes'"),
        (
            "data.init_args.texts={class_path: csv_notes.CsvNotes, init_args: {pth: x}}",
            r"texts\.init_args\.pth: unknown key; did you mean 'path'\?",
        ),
        (
            "data.init_args.rationales.teacher={class_path: named_drug.NamedDrug}",
            "teacher: named_drug.NamedDrug; expected a subclass of EndpointModel or LocalModel or Teacher$",
        ),
    ],
)
def test_what_is_wrong_with_a_class_is_named(folder, wrong, expected):
    with pytest.raises(KedrecError, match=f"command line: .*{expected}"):
        build(compose(folder / "pointing_teacher.yaml", [wrong]))


def test_paths_of_the_page_exist():
    for path in re.findall(r"`((?:docs|kedrec)/[\w./]+)`", PAGE):
        assert (REPOSITORY / Path(path)).exists(), path
