"""Processes of one job that embed a corpus together, in a store that they share."""

import hashlib
import json
import time

import pytest

from tests.support.forked_command import ForkedCommand

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, time
from pathlib import Path
from kedrec.storage.artifact_store import Store
from kedrec.retrieval import retriever
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.chunking import Passage

retriever._SLICE = 8
store, encoder, out = Store(sys.argv[1]), Encoder(sys.argv[2]), sys.argv[3]
done = []
encode = encoder.encode
def noted(texts):
    done.append(texts[0])
    time.sleep(0.2)
    return encode(texts)
encoder.encode = noted
words = "aspirin warfarin metformin insulin asthma diabetes stroke pain blood sugar heart lung".split()
passages = [
    Passage(f"P{n}", f"D{n}", "pmc", words[n % 12], f"{words[n % 7]} {n} for {words[n % 5]}")
    for n in range(100)
]
found = retriever.Retriever(passages, encoder, store)
Path(out).with_suffix(".ready").touch()
while not store.root.with_suffix(".go").exists():
    time.sleep(0.01)
index = found.index("pmc")
nearest = [[one.passage.id for one in row] for row in found.retrieve(["aspirin for pain"], "pmc", 5)]
open(out, "w").write(json.dumps({"done": done, "nearest": nearest}))
"""


def _start(script, store, encoder, out, number, count):
    place = {"SLURM_PROCID": str(number), "SLURM_STEP_NUM_TASKS": str(count)}
    return ForkedCommand(str(script), store, encoder, out, **place)


def _artefacts(store):
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def test_each_slice_is_embedded_once_by_one_of_them_and_all_is_as_one_process_makes_it(tmp_path, tiny_encoder_folder):
    script = tmp_path / "embed.py"
    script.write_text(SCRIPT)
    told = {}
    for name, count in (("alone", 1), ("together", 3)):
        places = [tmp_path / f"{name}{number}.json" for number in range(count)]
        begun = [
            _start(script, tmp_path / name, tiny_encoder_folder, place, number, count)
            for number, place in enumerate(places)
        ]
        while not all(place.with_suffix(".ready").exists() for place in places):
            assert not [process.communicate() for process in begun if process.poll() is not None]
            time.sleep(0.01)
        (tmp_path / f"{name}.go").touch()
        for process in begun:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said
        told[name] = [json.loads(place.read_text()) for place in places]
    once = [text for one in told["together"] for text in one["done"]]
    assert len(once) == len(set(once)) == 13
    assert set(once) == set(told["alone"][0]["done"])
    assert min(len(one["done"]) for one in told["together"]) >= 2  # every process has helped
    assert _artefacts(tmp_path / "together") == _artefacts(tmp_path / "alone")
    assert {json.dumps(one["nearest"]) for one in told["together"]} == {json.dumps(told["alone"][0]["nearest"])}
