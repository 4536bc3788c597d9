"""The index: search is right and stable, and no damaged or foreign file reaches hnswlib."""

import json

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.retrieval.vector_index import Index, build_index, recall

KINDS = [pytest.param(10_000, id="exact"), pytest.param(1, id="hnsw")]


def unit(count, dim=16, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def built(folder, vectors, exact_below, **settings):
    ids = [f"P{row}" for row in range(len(vectors))]
    build_index(vectors, ids, folder, encoder="abc", exact_below=exact_below, **settings)
    return Index.load(folder, "abc")


@pytest.mark.parametrize("exact_below", KINDS)
def test_a_vector_is_its_own_nearest_and_scores_fall(tmp_path, exact_below):
    vectors = unit(500)
    index = built(tmp_path, vectors, exact_below)
    rows, scores = index.search(vectors[:40], k=5)
    assert index.exact == (exact_below > 500)
    assert rows.shape == scores.shape == (40, 5)
    assert rows[:, 0].tolist() == list(range(40))
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert index.ids[3] == "P3"
    assert recall(index, unit(50, seed=1), 10) > 0.98
    np.testing.assert_array_equal(index.vectors(), vectors)


def test_recall_falls_when_neighbours_are_missed(tmp_path):
    assert recall(built(tmp_path, unit(3000, dim=64), 1, m=2, ef_construction=5, ef=1), unit(50, 64, 1), 10) < 0.9


@pytest.mark.parametrize("exact_below", KINDS)
def test_equal_scores_come_in_the_order_of_rows(tmp_path, exact_below):
    index = built(tmp_path, np.repeat(unit(4), 5, axis=0), exact_below)
    rows, _ = index.search(unit(4), k=5)
    assert rows.tolist() == [list(range(5 * group, 5 * group + 5)) for group in range(4)]


@pytest.mark.parametrize("exact_below", KINDS)
def test_k_above_the_count_gives_all(tmp_path, exact_below):
    rows, _ = built(tmp_path, unit(30), exact_below).search(unit(2), k=100)
    assert rows.shape == (2, 30)
    assert sorted(rows[0]) == list(range(30))


def test_a_search_wider_than_ef_works(tmp_path):
    assert built(tmp_path, unit(600), 1, ef=10).search(unit(1), k=300)[0].shape == (1, 300)


@pytest.mark.parametrize("exact_below", KINDS)
def test_builds_are_the_same_bit_for_bit(tmp_path, exact_below):
    for name in ("a", "b"):
        built(tmp_path / name, unit(300), exact_below)
    assert (tmp_path / "a" / "manifest.json").read_text() == (tmp_path / "b" / "manifest.json").read_text()


@pytest.mark.parametrize("exact_below", KINDS)
@pytest.mark.parametrize(
    ("queries", "k", "words"),
    [
        (np.zeros((1, 8), np.float32), 1, r"\(queries, 16\)"),
        (np.zeros(16, np.float32), 1, r"\(queries, 16\)"),
        (np.full((1, 16), np.nan, np.float32), 1, "finite"),
        (np.zeros((1, 16), np.float32), 0, "1 or more"),
    ],
)
def test_queries_are_checked_before_the_search(tmp_path, exact_below, queries, k, words):
    index = built(tmp_path, unit(50), exact_below)
    with pytest.raises(KedrecError, match=words):
        index.search(queries, k)


@pytest.mark.parametrize("exact_below", KINDS)
@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "remove"])
@pytest.mark.parametrize("which", [0, 1])
def test_damaged_files_are_refused(tmp_path, exact_below, harm, which):
    built(tmp_path, unit(50), exact_below)
    path = sorted(file for file in tmp_path.iterdir() if file.name != "manifest.json")[which]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(content), "truncate": content[:60], "empty": b""}[harm])
    with pytest.raises(KedrecError, match=rf"{path.name} is missing or damaged; delete"):
        Index.load(tmp_path, "abc")


@pytest.mark.parametrize("exact_below", KINDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dimension": 8}, "says 50 x 8"),
        ({"count": 51}, "says 51 x 16"),
        ({"encoder": "other"}, "encoder other, not abc"),
        ({"space": "l2"}, "not of a kedrec index"),
        ({"format": 99}, "not of a kedrec index"),
        ({"sha256": None}, "not of a kedrec index"),
    ],
)
def test_a_foreign_manifest_is_refused(tmp_path, exact_below, change, words):
    built(tmp_path, unit(50), exact_below)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(KedrecError, match=words):
        Index.load(tmp_path, "abc")


def test_a_manifest_that_is_absent_or_no_json_is_refused(tmp_path):
    with pytest.raises(KedrecError, match=r"no manifest\.json"):
        Index.load(tmp_path, "abc")
    for content in ("{", "[]"):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(KedrecError, match="manifest"):
            Index.load(tmp_path, "abc")


def test_vectors_that_are_no_finite_matrix_are_refused(tmp_path):
    for vectors, ids in ((unit(3), ["a"]), (unit(0), []), (unit(1)[0], ["a"] * 16)):
        with pytest.raises(KedrecError, match="one id a vector"):
            build_index(vectors, ids, tmp_path, encoder="abc")
    with pytest.raises(KedrecError, match="finite"):
        build_index(unit(1) * np.inf, ["a"], tmp_path, encoder="abc")
