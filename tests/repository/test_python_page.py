"""docs/python.md: its code runs, its table is the API, and `import kedrec` imports nothing else."""

import contextlib
import inspect
import io
import json
import re
import subprocess
import sys

import pytest

import kedrec
from kedrec.recommend import main as recommend
from tests.support.command_process import REPOSITORY

PAGE = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
QUICK = '["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "model.init_args.dim=64"'


@pytest.fixture(scope="module")
def executed(tmp_path_factory, store):
    """What the page's code defined and printed, as one program with fewer steps, in a folder of the test's own."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("experiments", "kedrec"):
        (folder / name).symlink_to(REPOSITORY / name)
    code = "\n".join(BLOCKS)
    assert all(code.count(text) == 1 for text in ("=500", "=250", '["model.init_args.dim=64"'))
    code = code.replace("=500", "=6").replace("=250", "=6").replace('["model.init_args.dim=64"', QUICK)
    names, printed = {}, io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(folder)
        exec(code, names)
        yield names, printed.getvalue()


def test_the_code_runs(executed):
    names, printed = executed
    assert "model.init_args.dimm: unknown key; did you mean 'dim'?\n" in printed
    ranking = re.findall(r"^(\d) (.+) (-?\d+\.\d+) (new|training|held out)$", printed, re.MULTILINE)
    assert [int(rank) for rank, *_ in ranking] == [1, 2, 3, 4, 5]
    scores = [float(score) for _, _, score, _ in ranking]
    assert scores == sorted(scores, reverse=True)
    assert names["metrics"] == names["run"].metrics
    assert len(names["rows"]) == len(names["run"].predictions()) > 0
    assert printed.endswith("True\n5195 ('asthma',)\n209 cyclosporine\n")  # tested again, then graph and pairs


def test_the_ranking_is_that_of_the_command(executed, capsys):
    run = executed[0]["run"]
    assert recommend([str(run.path), "asthma", "--top=4", "--explain=0", "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["recommendations"]
    found = kedrec.rank_drugs(run, "asthma", top=4, graph=str(REPOSITORY / "kedrec" / "sample"))
    assert [(one.name, one.id, one.rank, one.score, one.known) for one in found] == [
        (row["name"], *(row["candidate"][key] for key in ("drug", "rank", "score", "known"))) for row in expected
    ]


def test_the_table_names_the_api():
    rows = re.findall(r"^\| `(\w+)(?:\((.*?)\))?` \|", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} | {"RankedDrug"} == set(kedrec.__all__)
    for name, arguments in rows:
        if arguments:
            given = arguments.split(", ")
            assert list(inspect.signature(getattr(kedrec, name)).parameters)[: len(given)] == given


def test_each_name_is_listed_and_no_other_is_there():
    assert set(kedrec.__all__) <= set(dir(kedrec))
    assert all(getattr(kedrec, name).__doc__ for name in kedrec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'rank_drug'"):
        _ = kedrec.rank_drug


def test_no_name_is_that_of_a_module():
    modules = {path.stem for path in (REPOSITORY / "kedrec").glob("*.py")}
    modules |= {path.name for path in (REPOSITORY / "kedrec").iterdir() if path.is_dir()}
    assert modules.isdisjoint(kedrec.__all__)


def test_type_checkers_see_the_names_that_are_imported():
    source = inspect.getsource(kedrec)
    block = source.split("if TYPE_CHECKING:\n")[1].split("\n\n")[0]
    declared = {}
    for module, names in re.findall(r"from ([\w.]+) import (.+)", block):
        for name in names.split(", "):
            original, _, public = name.partition(" as ")
            declared[public or original] = (module, original)
    assert declared == kedrec._ORIGINS


@pytest.mark.slow
def test_importing_it_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import kedrec; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} <= {"kedrec", "importlib", "typing"} | set(
        sys.stdlib_module_names
    )
    assert not {name for name in done.stdout.split() if name.startswith("kedrec.")}
