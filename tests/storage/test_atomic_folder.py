"""A folder that appears whole or not at all."""

import pytest

from kedrec.errors import KedrecError
from kedrec.storage.atomic_folder import appearing_whole


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_it_takes_the_place_of_what_was_there(tmp_path):
    place = tmp_path / "deep" / "place"
    for text in ("first", "second"):
        with appearing_whole(place) as folder:
            assert not list(folder.glob("[!.]*"))
            (folder / text).write_text(text)
        assert files(place) == {text: text}
        assert list(place.parent.iterdir()) == [place]


def test_what_fails_leaves_nothing_and_changes_nothing(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    (place / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), appearing_whole(place) as folder:
        (folder / "new").write_text("new")
        raise ZeroDivisionError
    assert files(place) == {"old": "old"}
    assert list(tmp_path.iterdir()) == [place]


def test_what_a_killed_process_has_left_is_cleared(tmp_path):
    partial = tmp_path / ".place.partial"
    (partial / "sub").mkdir(parents=True)
    (partial / "half").write_text("half")
    with appearing_whole(tmp_path / "place") as folder:
        (folder / "new").write_text("new")
    assert files(tmp_path / "place") == {"new": "new"}


def test_two_at_once_do_not_meet(tmp_path):
    with appearing_whole(tmp_path / "place") as folder:
        (folder / "mine").write_text("mine")
        with (
            pytest.raises(KedrecError, match="another process is writing it"),
            appearing_whole(tmp_path / "place"),
        ):
            raise AssertionError
        assert (folder / "mine").is_file()
    assert files(tmp_path / "place") == {"mine": "mine"}
