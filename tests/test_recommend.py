"""The command as a user calls it: a ranking alone, an explained answer, its three forms, and its faults."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from kedrec.commands.recommend.recommendation import NOTICE
from kedrec.config import compose
from kedrec.graph.knowledge_graph import load_graph
from kedrec.recommend import main, read_options
from kedrec.storage.artifact_store import Store
from kedrec.training.experiment_objects import build
from kedrec.training.loaded_run import open_run
from tests.support.command_process import REPOSITORY, run
from tests.support.known_distances_run import TREATS, write_graph, write_run

SAMPLE = REPOSITORY / "kedrec" / "sample"
ALZHEIMER = "Disease::MESH:D000544"


@pytest.fixture(scope="session")
def ranker(tmp_path_factory, store):
    """A finished run on the sample's graph, its coordinates drawn; it has the case of the experiment."""
    graph = load_graph(SAMPLE / "triples.tsv", Store())
    generator = np.random.default_rng(0)
    rows = dict(zip(graph.entities, generator.standard_normal(len(graph.entities)), strict=True))
    edges = graph.edges([TREATS]).tolist()[::7]
    held = [(graph.entities[head], TREATS, graph.entities[tail]) for head, _, tail in edges]
    case = yaml.safe_load((REPOSITORY / "experiments" / "case_alzheimer.yaml").read_text())["case"]
    kinds = [one for one in graph.relations if one.startswith(("DRUGBANK::treats", "Hetionet::CtD", "Hetionet::CpD"))]
    folder = tmp_path_factory.mktemp("ranker") / "run"
    return write_run(folder, SAMPLE / "triples.tsv", rows, held, relations=kinds, case=case)


@pytest.fixture(scope="session")
def student(tiny_experiment, tmp_path_factory):
    """A student's run as `kedrec.fit` leaves it, but for the training."""
    folder = tmp_path_factory.mktemp("student")
    experiment = compose(tiny_experiment, [f"out={folder}"])
    model = build(experiment).model
    model.configure_model()
    model.export(folder)
    (folder / "config.yaml").write_text(experiment.yaml())
    (folder / "metrics.json").write_text(json.dumps({"test/f1": 0.5, "test/temperature": 2.0}))
    return folder


@pytest.fixture(scope="session")
def answered(ranker, student, tmp_path_factory):
    """The answer with a student, as JSON and as a page, from one call."""
    folder = tmp_path_factory.mktemp("answered")
    files = folder / "a.json", folder / "new" / "a.html"
    asked = [str(ranker), "alzheimer's disease", f"--student={student}", "--explain=2", "--known=drop"]
    assert main([*asked, f"--json={files[0]}", f"--html={files[1]}"]) == 0
    return json.loads(files[0].read_text()), files[1].read_text(), asked


def test_ranking_alone_is_a_table_with_the_notice(ranker, capsys):
    assert main([str(ranker), "asthma", "--explain=0", "--top=4"]) == 0
    printed = capsys.readouterr().out
    assert NOTICE in printed
    assert "Disease::MESH:D001249" in printed
    assert "ranked after" in printed
    assert "lower bound" in printed


def test_json_alone_is_on_standard_output(ranker, capsys):
    assert main([str(ranker), "--json", "D001249", "--explain=0", "--known=drop"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["notice"] == NOTICE
    assert found["disease"]["id"] == "Disease::MESH:D001249"
    assert len(found["recommendations"]) == 10
    assert all(one["candidate"]["known"] is None for one in found["recommendations"])
    assert [one["candidate"]["new_rank"] for one in found["recommendations"]] == list(range(1, 11))
    assert found["student"] is None


def test_the_answer_is_explained_from_graph_and_texts(answered, student):
    found, page, _ = answered
    first, second = (one["details"] for one in found["recommendations"][:2])
    assert [one["details"] for one in found["recommendations"][2:]] == [None] * 8
    names = {one["candidate"]["drug"]: one["name"] for one in found["recommendations"]}
    for details in (first, second):
        explained = details["explanation"]
        assert explained["alternative"] not in names
        assert 0.5 <= explained["confidence"] <= 1
        assert {passage["source"] for passage in explained["passages"]} == {"clinical_trials", "pmc"}
        assert [passage["number"] for passage in explained["passages"]] == list(
            range(1, len(explained["passages"]) + 1)
        )
        assert details["paths"]
        for path in details["paths"]:
            assert path["nodes"][-1]["id"] == ALZHEIMER
            assert len(path["steps"]) == len(path["nodes"]) - 1
        assert isinstance(details["naming_both"], int)
    assert found["student"]["path"] == str(student)
    assert found["student"]["sources"] == ["clinical_trials", "pmc"]
    assert NOTICE in page
    for name in list(names.values())[:2]:
        assert name in page


def test_the_published_list_stands_beside_ours(answered):
    found, page, _ = answered
    assert [one["drug"] for one in found["published"]][:2] == ["dasatinib", "methylthioninium"]
    assert [one["place"] for one in found["published"]] == list(range(1, 11))
    assert "The published list" in page
    assert "not in the graph" in page


def test_the_same_question_has_the_same_answer(answered, tmp_path):
    found, page, asked = answered
    assert main([*asked, f"--json={tmp_path / 'b.json'}", f"--html={tmp_path / 'b.html'}"]) == 0
    assert json.loads((tmp_path / "b.json").read_text()) == found
    assert (tmp_path / "b.html").read_text() == page


def test_a_metapath_restricts_the_paths(ranker, student, tmp_path):
    asked = [str(ranker), ALZHEIMER, f"--student={student}", "--explain=1", f"--json={tmp_path / 'a.json'}"]
    assert main([*asked, "--metapath=Compound-Gene-Gene-Disease"]) == 0
    found = json.loads((tmp_path / "a.json").read_text())
    (details,) = [one["details"] for one in found["recommendations"] if one["details"]]
    assert {path["types"] for path in details["paths"]} <= {"Compound-Gene-Gene-Disease"}
    assert found["metapath"] == "Compound-Gene-Gene-Disease"
    assert main([*asked, "--metapath=Compound-Gen-Disease"]) == 2


def test_the_disease_is_that_of_the_case_where_none_is_named(ranker, capsys):
    assert main([str(ranker), "--json", "--explain=0"]) == 0
    assert json.loads(capsys.readouterr().out)["disease"]["id"] == ALZHEIMER


def test_the_students_run_says_what_to_read_and_other_texts_can_be_named(ranker, student, tmp_path, capsys):
    passages = [json.loads(line) for line in (SAMPLE / "passages.jsonl").read_text().splitlines()]
    texts = tmp_path / "passages.jsonl"
    kept = [one for one in passages if one["source"] == "pmc"]
    texts.write_text("".join(json.dumps(one) + "\n" for one in kept))
    asked = [str(ranker), ALZHEIMER, f"--student={student}", "--explain=1", "--json"]
    assert main([*asked, f"--texts={texts}"]) == 2
    assert "no passage of source 'clinical_trials'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["asthma", "stroke"], ["'stroke'", "in quotes"]),
        (["asthma", "--top=0"], ["--top"]),
        (["asthma", "--known=hide"], ["--known", "'mark'"]),
        (["asthma", "--studnt=x"], ["--studnt", "--help"]),
        (["asthma", "--texts=/nowhere"], ["/nowhere", "no such file"]),
        (["asthma", "--student=/nowhere"], ["/nowhere/config.yaml", "no such file"]),
        (["asthma", "graph=/nowhere"], ["/nowhere", "no such file"]),
        (["asthma", "--html="], ["without a value"]),
        (["asthma", "--metapath="], ["without a value"]),
        (["asthma", "graph="], ["without a value"]),
        (["asthma", "--html=/tmp"], ["/tmp: a folder", "name a file in it"]),
        (["asthma", "--explain=0", "--json=/dev/null/a.json"], ["/dev/null/a.json", "name another file"]),
        (["asthma", "--explain=0", f"--html=/tmp/{'a' * 300}.html"], ["too long", "name another file"]),
        (["diabetes"], ["Disease::MESH:D003924", "type 2 diabetes"]),
        (["xyzzy"], ["no disease", "'xyzzy'", "--diseases lists them"]),
        (["asthm"], ["nearest", "--diseases=WORD"]),
        (["asthma", "--diseases"], ["'asthma'", "--diseases only lists the diseases"]),
        (["--diseases="], ["without a value"]),
    ],
)
def test_a_fault_is_one_message_and_status_2(ranker, arguments, words, capsys):
    assert main([str(ranker), *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("kedrec: ")
    assert "Traceback" not in told
    assert all(word in told for word in words)


def test_a_students_run_ranks_nothing(student, ranker, capsys):
    assert main([str(student), "asthma"]) == 2
    assert f"--student={student}" in capsys.readouterr().err
    assert main([str(ranker), "asthma", f"--student={ranker}"]) == 2
    assert "expected a student's run" in capsys.readouterr().err


def test_without_a_disease_or_a_case_the_run_is_not_enough(ranker, tmp_path, capsys):
    tree = yaml.safe_load((ranker / "config.yaml").read_text())
    del tree["case"]
    for name in ("metrics.json", "embeddings"):
        (tmp_path / name).symlink_to(ranker / name)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "names no case.disease" in told
    assert told.count("  Disease::") == 10
    assert "--diseases lists them" in told


def test_the_diseases_that_can_be_ranked_for_are_listed(ranker, capsys):
    assert main([str(ranker), "--diseases", "--top=3"]) == 0
    first, *listed = capsys.readouterr().out.splitlines()
    graph = load_graph(SAMPLE / "triples.tsv", Store())
    assert first == f"drugs can be ranked for {len(graph.of_type('Disease'))} diseases; the 3 with most edges:"
    edges = [int(re.search(r"\((\d+) edges", line)[1]) for line in listed]
    assert len(edges) == 3
    assert edges == sorted(edges, reverse=True)
    assert main([str(ranker), "--diseases=ALZHEIMER"]) == 0
    first, *listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [ALZHEIMER]
    assert "1 diseases with 'ALZHEIMER' in a name or id:" in first
    assert main([str(ranker), "--diseases=xyzzy"]) == 0
    assert capsys.readouterr().out == "drugs can be ranked for 0 diseases with 'xyzzy' in a name or id\n"


def test_a_disease_that_the_run_has_not_embedded_is_not_listed(tmp_path, capsys):
    triples = [("Compound::a", TREATS, "Disease::d"), ("Compound::a", TREATS, "Disease::e")]
    names = [("Disease::d", "dropsy", "oedema")]
    graph = write_graph(tmp_path / "graph", triples, names)
    folder = write_run(tmp_path / "run", graph, {"Compound::a": 0, "Disease::d": 0})
    assert main([str(folder), "--diseases=oede"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  Disease::d  dropsy (1 edges, 1 known treatments)"
    assert main([str(folder), "--diseases"]) == 0
    assert "Disease::e" not in capsys.readouterr().out


def test_where_nothing_listed_is_new_no_student_is_loaded(tmp_path, capsys):
    graph = write_graph(
        tmp_path / "graph", [("Compound::a", TREATS, "Disease::d"), ("Compound::b", TREATS, "Disease::e")]
    )
    folder = write_run(tmp_path / "run", graph, {"Compound::a": 0, "Compound::b": 9, "Disease::d": 0, "Disease::e": 9})
    assert main([str(folder), "Disease::d", "--top=1"]) == 0
    assert "nothing was explained" in capsys.readouterr().out


def test_options_are_read_in_any_order():
    options = read_options(["--json", "RUN", "graph=g", "--known=drop", "Alzheimer's disease", "--top=2"])
    assert (options.run, options.disease, options.graph) == ("RUN", "Alzheimer's disease", "g")
    assert (options.json, options.drop_known, options.top, options.explain) == ("-", True, 2, 2)


@pytest.mark.slow
def test_importing_the_command_is_quick_and_its_help_needs_no_run():
    heavy = "import kedrec.recommend, sys; print(sorted({'torch', 'lightning', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]"
    assert "Research use, not medical advice." in run("--help", module="kedrec.recommend").stdout


def test_the_case_is_an_experiment_whose_run_remembers_it():
    """Any experiment of the folder is built elsewhere; the planted run has what this one says."""
    experiment = compose(REPOSITORY / "experiments" / "case_alzheimer.yaml", ["case.disease=asthma"])
    remembered = yaml.safe_load(experiment.yaml())["case"]
    assert remembered["disease"] == "asthma"
    assert list(remembered["published"])[:3] == ["dasatinib", "methylthioninium", "digoxin"]
    assert len(remembered["published"]) == 10


def test_a_newer_test_of_the_same_run_says_the_temperature(ranker, student, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(student, run)
    place = run / "evaluations" / open_run(run).id
    place.mkdir(parents=True)
    (place / "metrics.json").write_text(json.dumps({"test/temperature": 5.0}))
    temperatures = []
    for folder in (student, run):
        asked = [str(ranker), ALZHEIMER, f"--student={folder}", "--known=drop", "--explain=1", "--json"]
        assert main(asked) == 0
        temperatures.append(json.loads(capsys.readouterr().out)["student"]["temperature"])
    assert temperatures == [2.0, 5.0]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.yaml", "", ["config.yaml", "model: missing"]),
        ("config.yaml", "a: [", ["config.yaml", "not valid YAML"]),
        ("metrics.json", "{", ["metrics.json", "damaged", "kedrec.fit"]),
        ("embeddings/held_out.tsv", None, ["held_out.tsv: no such file"]),
        ("embeddings/embeddings.safetensors", "x", ["embeddings.safetensors", "cannot be read"]),
    ],
)
def test_a_damaged_run_is_one_message(ranker, tmp_path, file, content, words, capsys):
    run = shutil.copytree(ranker, tmp_path / "run")
    (run / file).unlink()
    if content is not None:
        (run / file).write_text(content)
    assert main([str(run), "asthma", "--explain=0"]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
    assert told.count("\n") == 1


@pytest.mark.parametrize("case", ["Alzheimer", ["a"], {"disease": "asthma", "published": ["a"]}])
def test_a_case_of_another_form_is_one_message(ranker, tmp_path, case, capsys):
    run = shutil.copytree(ranker, tmp_path / "run")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**settings, "case": case}))
    assert main([str(run), "asthma", "--explain=0"]) == 2
    assert "config.yaml: case: expected a disease" in capsys.readouterr().err


def test_a_graph_that_has_moved_says_how_to_name_it(ranker, tmp_path, capsys):
    run = shutil.copytree(ranker, tmp_path / "run")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["data"]["init_args"]["graph"] = "/nowhere/triples.tsv"
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    assert main([str(run), "asthma", "--explain=0"]) == 2
    assert (
        "/nowhere/triples.tsv: no such file or folder; name the graph's present place with graph=PATH"
        in capsys.readouterr().err
    )
    assert main([str(run), "asthma", "--explain=0", f"graph={SAMPLE / 'triples.tsv'}"]) == 0


def test_texts_that_have_moved_say_how_to_name_them(ranker, student, tmp_path, capsys):
    run = shutil.copytree(student, tmp_path / "run")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["data"]["init_args"]["texts"] = "/nowhere/passages.jsonl"
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    assert main([str(ranker), ALZHEIMER, "--known=drop", "--explain=1", f"--student={run}"]) == 2
    assert (
        "/nowhere/passages.jsonl: no such file or folder; name the student's texts by --texts=PATH"
        in capsys.readouterr().err
    )
