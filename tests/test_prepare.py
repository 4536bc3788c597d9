"""``python -m kedrec.prepare``: the data set of the sample, made as a user makes one of a real graph."""

import json
import re

import pytest

from tests.sources.text.test_clinical_trials import study
from tests.sources.text.test_entrez import Ncbi, record
from tests.sources.text.test_pmc import Bucket
from tests.support.command_in_process import run_in_process
from tests.support.loopback_server import Answer, Loopback
from tests.support.misbehaving_llm_server import Reply, chat, serving
from tests.support.small_data_set import hashes, prepare, prepared_once

IN_PMC = "<PubmedData><ArticleIdList><ArticleId IdType='pmc'>PMC7</ArticleId></ArticleIdList></PubmedData>"


@pytest.fixture(scope="module")
def prepared(small_data_set):
    return prepared_once(small_data_set)


def test_a_dry_run_tells_what_there_is_to_do_and_touches_nothing(small_data_set, tmp_path):
    done = prepare(small_data_set, "--dry-run", f"out={tmp_path / 'set'}", store=tmp_path / "store")
    assert done.returncode == 0, done.stderr
    for told in ("passages to embed", "20 train", "pairs to explain", "ExtractiveTeacher"):
        assert told in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_dry_run_after_it_finds_everything_there(small_data_set, prepared):
    folder = prepared
    done = prepare(small_data_set, "--dry-run", store=folder / "store")
    assert "0 passages to embed" in done.stdout


def test_the_data_set_is_what_other_tools_read(prepared):
    import datasets

    folder, printed = prepared, (prepared / "printed").read_text()
    assert f"data set: {folder / 'set'}" in printed
    assert "peak memory" in printed
    splits = datasets.load_dataset(str(folder / "set"), cache_dir=str(folder / "cache"))
    assert set(splits) == {"train", "validation", "test"}
    row = splits["train"][0]
    assert row["relevant"].startswith("Compound::")
    assert row["rationale"].startswith(row["relevant_name"])
    cited = [passage["id"] for passage in row["passages"] if f"[{passage['id']}]" in row["rationale"]]
    assert cited
    assert all(passage["license"] for passage in row["passages"])
    lines = (folder / "set" / "messages" / "train.jsonl").read_text().splitlines()
    assert len(lines) == len(splits["train"])
    roles = [message["role"] for message in json.loads(lines[0])["messages"]]
    assert roles == ["system", "user", "assistant"]
    card = (folder / "set" / "README.md").read_text()
    for told in ("Apache-2.0", "ExtractiveTeacher", "of those a passage names both", "kept: 2", "path: train.parquet"):
        assert told in card


def test_the_same_command_again_does_no_work_and_gives_the_same_bytes(small_data_set, prepared, tmp_path):
    folder = prepared
    done = prepare(small_data_set, f"out={tmp_path / 'again'}", store=folder / "store")
    assert done.returncode == 0, done.stderr
    assert "passages embedded: 0" not in done.stderr
    assert hashes(tmp_path / "again") == hashes(folder / "set")


def test_a_bundle_makes_a_cluster_without_network_ready(small_data_set, prepared, tmp_path, tiny_encoder_folder):
    folder = prepared
    store = tmp_path / "cluster"
    done = prepare(f"--unbundle={folder / 'b.tar.zst'}", store=store)
    assert done.returncode == 0, done.stderr
    assert "artefacts added" in done.stdout
    before = {path: path.stat().st_mtime_ns for path in store.rglob("manifest.json")}
    trained = run_in_process(small_data_set, f"out={tmp_path / 'run'}", KEDREC_STORE=str(store), HF_HUB_OFFLINE="1")
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "metrics.json").is_file()
    after = {path: path.stat().st_mtime_ns for path in store.rglob("manifest.json")}
    assert {path: after[path] for path in before} == before
    built = {path.parent.parent.name for path in after.keys() - before.keys()}
    assert built <= {"base-answers"}, "everything else came with the bundle"


def test_a_model_is_asked_once_and_only_what_passes_is_kept(small_data_set, tmp_path):
    def rule(body, number):
        user = body["messages"][1]["content"]
        letter = "AB"[number % 2]  # right about half of the time
        drug = user.split(f"{letter}: ")[1].splitlines()[0]
        passage = user.split("<passage> 1: ")[1].split(" </passage>")[0] if "<passage> 1: " in user else ""
        said = f"{drug}: {passage[:200]} [1]." if passage else f"{drug} is used for it."
        return Reply(chat(json.dumps({"choice": letter, "rationale": said, "confidence": 0.8})))

    with serving(rule=rule) as server:
        teacher = {
            "class_path": "kedrec.llm.endpoint_model.EndpointModel",
            "init_args": {"model": "m", "base_url": server.url, "prices": {"input": 1.0, "output": 2.0}},
        }
        settings = [
            f"data.init_args.rationales.teacher={json.dumps(teacher)}",
            "data.init_args.rationales.max_cost=5.0",
        ]
        settings += [
            "data.init_args.pairs.limits.validation=8",
            "data.init_args.pairs.limits.test=8",
        ]  # some are right in each
        plan = prepare(small_data_set, "--dry-run", *settings, store=tmp_path / "store")
        assert plan.returncode == 0, plan.stderr
        assert "questions to ask" in plan.stdout
        shown = " ".join(plan.stdout.replace("│", " ").split())
        first, again, tokens = (
            int(re.search(rf"([\d,]+) {unit}", shown)[1].replace(",", ""))
            for unit in ("questions to ask", "second tries, at most", "tokens of all answers, at most")
        )
        assert first == again and tokens == 2 * first * 512, shown
        assert not server.seen
        done = prepare(small_data_set, f"out={tmp_path / 'set'}", *settings, store=tmp_path / "store")
        asked = len(server.seen)
        assert asked >= 20
        again = prepare(small_data_set, f"out={tmp_path / 'again'}", *settings, store=tmp_path / "store")
        assert len(server.seen) == asked
        plan = prepare(small_data_set, "--dry-run", *settings, store=tmp_path / "store")
        assert " 0 questions to ask" in " ".join(plan.stdout.replace("│", " ").split()), plan.stdout
    assert again.returncode == done.returncode == 0, done.stderr
    assert hashes(tmp_path / "set") == hashes(tmp_path / "again")
    rejected = [json.loads(line) for line in (tmp_path / "set" / "rejected.jsonl").read_text().splitlines()]
    assert "wrong choice" in {row["reason"] for row in rejected}
    assert "wrong choice" in (tmp_path / "set" / "README.md").read_text()


def test_a_teacher_of_whom_nothing_passes_is_told_with_the_reasons(small_data_set, tmp_path):
    with serving(rule=lambda *_: Reply(chat("I cannot say."))) as server:
        model = {"class_path": "kedrec.llm.endpoint_model.EndpointModel"}
        model["init_args"] = {"model": "m", "base_url": server.url}
        done = prepare(
            small_data_set, f"data.init_args.rationales.teacher={json.dumps(model)}", store=tmp_path / "store"
        )
    assert done.returncode == 2
    assert "the teacher m: of 2" in done.stderr
    assert "not of the form asked for (2" in done.stderr
    (rejected,) = (tmp_path / "store" / "rationales").glob("*/rejected.jsonl")
    assert str(rejected) in done.stderr


def test_texts_are_fetched_for_the_pairs_and_full_texts_take_the_place_of_abstracts(small_data_set, tmp_path):
    ncbi, bucket = Ncbi({1: record(1).replace("</PubmedArticle>", IN_PMC + "</PubmedArticle>")}), Bucket(7)

    def answer(asked):
        if asked.path.endswith("/studies"):
            cond, intr = asked.query["query.cond"], asked.query["query.intr"]
            one = study(abs(hash((cond, intr))) % 10**8)
            one["protocolSection"]["descriptionModule"]["briefSummary"] = f"{intr} was given to people with {cond}."
            return Answer(json.dumps({"studies": [one]}).encode(), headers={"Content-Type": "application/json"})
        return ncbi(asked) if asked.path.endswith(".fcgi") else bucket(asked)

    with Loopback(answer) as server:
        web = {"email": "me@x.org", "abstracts": 3, "trials_url": f"{server.url}/studies"}
        web |= {"eutils_url": server.url, "pmc_url": server.url}
        settings = ["texts=null", f"data.init_args.download.web={json.dumps(web)}", f"out={tmp_path / 'set'}"]
        online = {"store": tmp_path / "store", "HF_HUB_OFFLINE": ""}
        plan = prepare(small_data_set, "--dry-run", *settings, **online)
        assert plan.returncode == 0, plan.stderr
        assert "requests to the web, at least" in plan.stdout
        assert not server.asked
        done = prepare(small_data_set, *settings, **online)
        assert done.returncode == 0, done.stderr
        asked = len(server.asked)
        again = prepare(small_data_set, *settings, **online)
        assert again.returncode == 0, again.stderr
        assert len(server.asked) == asked
    (file,) = (tmp_path / "store" / "web-texts").glob("*/passages.jsonl")
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["text"] for one in documents if one["id"] == "PMC7"] == ["Words of version 1."]
    assert sum(one["source"] == "clinical_trials" for one in documents) > 40
    rationales = (tmp_path / "set" / "messages" / "train.jsonl").read_text()
    assert "was given to people with" in rationales


def test_entities_are_described_by_a_model_and_anchored_in_what_it_says(tmp_path, tiny_encoder_folder):
    def rule(body, _):
        name = body["messages"][1]["content"].split()[3]
        return Reply(chat(f"Background: {name} is known. Appearance: N/A Clinical: it matters."))

    settings = [f"data.init_args.anchors.encoder={tiny_encoder_folder}", "trainer.max_steps=4"]
    settings += ["trainer.val_check_interval=4"]
    settings += ["model.init_args.dim=8", "trainer.enable_progress_bar=false", f"out={tmp_path / 'run'}"]
    with serving(rule=rule) as server:
        model = {"class_path": "kedrec.llm.endpoint_model.EndpointModel"}
        model["init_args"] = {"model": "m", "base_url": server.url}
        describe = {"model": model, "types": ["Disease"], "settings": {"style": "structured"}}
        settings.append(f"data.init_args.anchors.describe={json.dumps(describe)}")
        plan = prepare("experiments/lladr_transe.yaml", "--dry-run", *settings, store=tmp_path / "store")
        assert plan.returncode == 0, plan.stderr
        assert "descriptions by m" in plan.stdout
        assert not server.seen
        done = prepare("experiments/lladr_transe.yaml", *settings, store=tmp_path / "store")
        assert done.returncode == 0, done.stderr
        asked = len(server.seen)
    assert asked > 50
    trained = run_in_process("experiments/lladr_transe.yaml", *settings, KEDREC_STORE=str(tmp_path / "store"))
    assert trained.returncode == 0, trained.stderr
    assert f"'described': {asked}" in (tmp_path / "run" / "README.md").read_text()


def test_without_a_network_the_error_says_what_to_do(small_data_set, tmp_path):
    settings = ["graph=drkg", "texts=null", "email=me@x.org"]
    done = prepare(small_data_set, *settings, store=tmp_path / "store", KEDREC_OFFLINE="1")
    assert done.returncode == 2
    assert "kedrec.prepare" in done.stderr
    assert "Traceback" not in done.stderr
    plan = prepare(small_data_set, "graph=drkg", "--dry-run", store=tmp_path / "store", KEDREC_OFFLINE="1")
    assert plan.returncode == 0, plan.stderr
    assert "bytes to download" in plan.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--unbundle=absent.tar.zst"], "no such file"),
        (["experiments/both_sources.yaml", "--dry-run"], "has no plan"),
        (["experiments/transe_base.yaml", "--push=a/b"], "writes no data set"),
        (["experiments/exprxrec_both.yaml", "texts=absent", "graph=absent"], "absent"),
        (["experiments/exprxrec_both.yaml", "email=nobody"], "email: 'nobody' is no address"),
    ],
)
def test_faults_are_one_line(arguments, told, tmp_path):
    done = prepare(*arguments, store=tmp_path / "store")
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
