"""`python -m kedrec.report` on planted runs and on real ones, and its page in a real Chromium."""

import csv
import json
import re
from itertools import product

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from kedrec.errors import KedrecError
from kedrec.report import main, report
from tests.support import written_runs as planted
from tests.support.browser import chromium
from tests.support.command_process import REPOSITORY, run
from tests.support.trained_runs import trained
from tests.support.written_runs import EVIL, graph_model, log, student

SETTINGS = {"vanilla": (), "clinical_trials": ("clinical_trials",), "pmc": ("pmc",), "both": ("clinical_trials", "pmc")}

PARTS = (
    "KEDRec-LM",
    "Robustness audits",
    "Students compared",
    "Examples",
    "LLaDR",
    "Stricter tests",
    "Models of the graph compared",
    "Embedding maps",
    "Learning curves",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The four settings in two seeds, and two models of the graph with and without text; fewer on another graph."""
    place = tmp_path_factory.mktemp("planted") / "runs"
    for data, settings, seeds in (("sample", list(SETTINGS), 2), ("real", ["both"], 1)):
        for number, name in enumerate(settings):
            for seed in range(seeds):
                folder = place / data / f"{name} {EVIL.replace('/', '')}" / f"{seed}"
                audits = {"test/f1_names_masked": 0.5, "test/temperature": 1.5, "test/f1_unknown_to_base": 0.6}
                f1 = 0.5 + number / 10 + seed / 50
                student(folder, SETTINGS[name], seed, f1, data=data, wrong=range(4 - number), metrics=audits)
                log(folder, {"validation/loss": {25: 2.5, 50: 2.0 - seed / 10}, "train/choice_loss": {5: 0.7, 10: 0.5}})
    for data, scorer, delete in (
        ("sample", "transe_l1", 0.0),
        ("sample", "transe_l1", 0.4),
        ("sample", "distmult", 0.0),
        ("real", "transe_l1", 0.0),
    ):
        for anchored in (False, True):
            folder = place / data / f"{scorer}-{anchored}-{delete}"
            mrr, shift = 0.4 + anchored / 10 - delete / 10, 2 * (not anchored)
            graph_model(folder, scorer, 0, anchored, mrr, data, shift, data_args={"delete": delete})
            log(folder, {"train/link_loss": {50: 1.0, 100: 0.5}, "validation/mrr": {100: 0.2}})
    unfinished = student(place / "sample" / "unfinished")
    (unfinished / "metrics.json").unlink()
    return place


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    place = tmp_path_factory.mktemp("made") / "report"
    assert main([str(runs), f"--to={place}", f"--results={place.parent / 'RESULTS.md'}"]) == 0
    return place / "report.html"


def test_the_page_holds_everything(page):
    text = page.read_text(encoding="utf-8")
    for data in ("sample", "data/graph"):
        for part in PARTS:
            assert f"{part}, {data}</h2>" in text
    assert "Robustness, sample</h2>" in text
    assert text.count("<svg") == text.count('role="img"') == text.count("<desc") > 20
    assert "Research use, not medical advice." in text
    assert "unfinished</code>: metrics.json: no such file" in text


def test_tables_figures_and_results_lie_beside_it(page):
    place = page.parent
    for table in (
        "kedrec_lm_sample",
        "lladr_data_graph",
        "audits_sample",
        "delete_sample",
        "students_compared_sample",
        "runs",
    ):
        for form in ("md", "tex", "csv"):
            assert (place / "tables" / f"{table}.{form}").stat().st_size > 100
    names = {path.stem for path in (place / "figures").iterdir()}
    assert {"ablation_sample", "risk_coverage_sample", "ranks_transe_pairs_sample", "map_transe_sample"} <= names
    results = (place / "RESULTS.md").read_text(encoding="utf-8")
    assert results == (place.parent / "RESULTS.md").read_text(encoding="utf-8")
    assert "Test CPU, 2 cores, no GPU, 16 GiB" in results
    assert "train 60" in results
    assert "<script" not in results
    assert set(re.findall(r"figures/([\w-]+)\.csv", page.read_text(encoding="utf-8"))) == names


def test_the_same_runs_give_the_same_bytes(runs, tmp_path):
    for name in ("one", "two"):
        report([runs / "real"], tmp_path / name)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in ("one", "two"))
    assert one == two


def test_each_number_tells_its_experiment_and_commit(page):
    with (page.parent / "tables" / "lladr_sample.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert all(line["commit"] == "c0ffee" and line["experiment"] for line in lines)
    line = next(one for one in lines if one["row"] == "TransE + LLaDR: ours" and one["column"] == "MRR")
    assert float(line["difference"]) == pytest.approx(0.5 - 0.533)


@pytest.mark.slow
def test_in_chromium(page, tmp_path):
    with chromium(tmp_path / "profile") as browser:
        for width, dark in product((400, 1280), (False, True)):
            browser.open(page, width=width, dark=dark)
            browser.picture(tmp_path / f"{width}-{'dark' if dark else 'light'}.png", whole=dark is (width == 400))
            assert browser.complaints() == []
            assert browser.requests() == []
            assert browser.overflow() == 0
            assert browser.contrasts()[0][0] >= 4.5, browser.contrasts()[:3]
        assert browser.run("return document.title") == "kedrec: results beside the published"  # no script ran
        assert browser.run("return document.scripts.length") == 0
        browser.open(page, width=400)
        assert min(browser.run(_LETTERS)) >= 9  # pixels: a figure's letters can be read on a telephone
        assert browser.run(_SCROLLED) == [0, 0]  # what a row is about stays where it was


@pytest.mark.slow
def test_by_keyboard_and_on_paper(page, tmp_path):
    with chromium(tmp_path / "profile") as browser:
        browser.open(page)
        stops = browser.tabbed(30)
        assert stops[0] == "a Skip to the content"
        assert stops[1] == "a KEDRec-LM, sample"
        assert any(stop.startswith("div KEDRec-LM: choice and rationale") for stop in stops)  # a table, to scroll
        assert any(stop.startswith("summary") for stop in stops)
        assert browser.run(_HEADINGS) == []
        assert browser.run(_TABLES) == []
        assert browser.run(
            "return [...new Set([...document.querySelectorAll('[id]')].map(e => e.id))].length"
        ) == browser.run("return document.querySelectorAll('[id]').length")
        assert browser.run(_DEAD_LINKS) == []
        browser.open(page, width=1030, dark=True, media="print")  # A4 across, less its margins
        assert browser.overflow() == 0
        assert browser.run(_BROKEN_NUMBERS) == []
        assert browser.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"
        assert browser.printed(tmp_path / "report.pdf").stat().st_size > 50_000


_SCROLLED = """
const region = document.querySelector('.scroll')
const heads = [...region.querySelectorAll('tbody th[scope="row"], tr.group span')].slice(0, 2)
const left = () => heads.map(head => head.getBoundingClientRect().left)
const before = left()
region.scrollLeft = 160
return region.scrollLeft === 160 ? left().map((place, one) => place - before[one]) : "not wide"
"""
_LETTERS = """
return [...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height).filter(height => height);
"""
_BROKEN_NUMBERS = """
const broken = [], range = document.createRange();
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const text = texts.currentNode;
  for (const word of text.parentElement.closest('.number') ? text.data.matchAll(/\\S+/g) : []) {
    range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
    if (!word[0].includes('-') && range.getClientRects().length > 1) broken.push(word[0]);
  }
}
return broken;
"""
_HEADINGS = """
const levels = [...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => [+h.tagName[1], h.innerText]);
return levels.filter(([level], at) => at && level > levels[at - 1][0] + 1);
"""
_TABLES = """
const fine = table => table.caption && table.closest('.scroll[tabindex="0"]')
  && [...table.querySelectorAll('th')].every(head => head.scope);
return [...document.querySelectorAll('table')].filter(table => !fine(table)).map(table => table.innerText.slice(0, 80));
"""
_DEAD_LINKS = """
return [...document.querySelectorAll('a[href^="#"]')].map(a => a.getAttribute('href').slice(1))
  .filter(id => !document.getElementById(id));
"""


def test_a_report_replaces_an_older_one_and_nothing_else(runs, tmp_path, capsys):
    some = str(next((runs / "sample").glob("vanilla*")))
    assert main([some, f"--to={tmp_path / 'r'}"]) == 0
    assert main([some, f"--to={tmp_path / 'r'}"]) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert main([some, f"--to={tmp_path / 'mine'}"]) == 2
    assert "its content is not a report" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"
    (tmp_path / "mine" / "report.json").write_text('{"tests": 3}')  # another tool's
    assert main([some, f"--to={tmp_path / 'mine'}"]) == 2
    (tmp_path / "r" / "thesis.tex").write_text("x")
    assert main([some, f"--to={tmp_path / 'r'}"]) == 2
    assert "holds 'thesis.tex' beside an older report" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.tex").is_file()
    assert (tmp_path / "r" / "thesis.tex").is_file()


def test_text_from_outside_in_results_and_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(planted.GRAPHS, "evil", f"/x/{EVIL.replace('/', '')}/[a](b)")
    monkeypatch.setitem(planted.SHA, "evil", "e" * 64)
    graph_model(tmp_path / "runs" / "a", data="evil")
    (tmp_path / "runs" / "\x1b[31m<b>").mkdir()
    (tmp_path / "runs" / "\x1b[31m<b>" / "config.yaml").write_text("- a")
    assert main([str(tmp_path / "runs"), f"--to={tmp_path / 'r'}"]) == 0
    results = (tmp_path / "r" / "RESULTS.md").read_text(encoding="utf-8")
    assert "&lt;script" in results
    assert not re.search(r"<|\x1b|(?<!\\)\[", results)
    assert "\x1b" not in capsys.readouterr().out


def test_models_that_differ_in_much_have_files_of_their_own(tmp_path):
    for name in ("a", "b"):
        graph_model(tmp_path / "runs" / name, model_args={f"setting_{at}": f"{name} of {at}" for at in range(40)})
    report([tmp_path / "runs"], tmp_path / "r")
    assert len(list((tmp_path / "r" / "figures").glob("map_*.csv"))) == 2


def test_what_a_killed_or_diverged_training_left(tmp_path):
    run = graph_model(tmp_path / "runs" / "a")
    log(run, {"train/link_loss": {1: 1.0, 2: 0.5}})
    with (run / "log" / "version_0" / "metrics.csv").open("a") as file:
        file.write("0,3,1e")
    (run / "log" / "version_old").mkdir()
    (run / "log" / "version_old" / "metrics.csv").write_text("a\n")
    save_file({"entity": np.full((30, 6), np.nan, np.float32)}, run / "embeddings" / "embeddings.safetensors")
    report([tmp_path / "runs"], tmp_path / "r")
    assert "No embedding map of TransE" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    (curve,) = (tmp_path / "r" / "figures").glob("learning_*.csv")
    assert len(curve.read_text().splitlines()) == 3
    (run / "embeddings" / "entities.tsv").unlink()
    with pytest.raises(KedrecError, match=r"entities\.tsv: cannot be read"):
        report([tmp_path / "runs"], tmp_path / "r")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["--to=x"], "command line: no run"),
        (["a", "--to=."], ".: this folder cannot be replaced"),
        (["a", "--to=x", "--results=."], ".: a folder; name a file in it"),
        (["a", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["--reviewed", "a.csv"], "--reviewed FILE ...: expected --key"),
    ],
)
def test_a_mistake_is_one_line(arguments, told, capsys):
    assert main(arguments) == 2
    fault = capsys.readouterr().err
    assert fault.startswith("kedrec: ")
    assert told in fault
    assert fault.count("\n") == 1


def test_a_review_sheet_and_back(runs, tmp_path, capsys):
    here = [str(path) for path in sorted((runs / "sample").glob("*/0"))[:2]]
    assert main([*here, f"--review={tmp_path / 'review'}", "--pairs=3", "--seed=1"]) == 0
    key = tmp_path / "review" / "key.json"
    assert key.is_file()
    filled = tmp_path / "filled.csv"
    filled.write_bytes((tmp_path / "review" / "reviewers" / "sheet.csv").read_bytes())
    assert main(["--reviewed", str(filled), f"--key={key}"]) == 2  # nothing was filled in
    assert "no answer is filled in" in capsys.readouterr().err


@pytest.fixture(scope="module")
def small_graph_run(tmp_path_factory, store):
    content = yaml.safe_load((REPOSITORY / "experiments" / "transe_base.yaml").read_text())
    content["model"] = {"init_args": {"dim": 16}}
    groups = {"split": {"unseen_diseases": 5}, "loader": {"batch_size": 256}, "negatives": {"count": 16, "chunks": 4}}
    content["data"] = {"init_args": groups}
    content["trainer"] = {"accelerator": "cpu", "max_steps": 20, "val_check_interval": 10, "enable_progress_bar": False}
    content["trainer"]["log_every_n_steps"] = 5
    path = tmp_path_factory.mktemp("graph") / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return trained(path)


@pytest.mark.slow
def test_runs_that_were_really_made(tiny_experiment, small_graph_run, tmp_path):
    student_run = trained(tiny_experiment)
    done = run(student_run, str(small_graph_run), f"--to={tmp_path / 'report'}", module="kedrec.report")
    assert (done.returncode, done.stderr) == (0, "")
    results = (tmp_path / "report" / "RESULTS.md").read_text(encoding="utf-8")
    metrics = json.loads((student_run / "metrics.json").read_text())
    assert f"{100 * metrics['test/f1']:.1f} ({100 * metrics['test/f1_low']:.1f} to" in results
    ranking = json.loads((small_graph_run / "metrics.json").read_text())
    assert f"{ranking['test/pairs/lladr_published/mrr_expected']:.3f}" in results
    names = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    assert {"ablation_sample", "risk_coverage_sample", "map_transe_sample", "ranks_transe_pairs_sample"} <= names
    assert any(name.startswith("learning_student") for name in names)
    assert {"learning_graph_sample_train_link_loss", "learning_graph_sample_validation_mrr"} <= names
    assert "Examples, sample" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
