"""The compiled code is kept in the store, and where it cannot be had the rest goes on without it."""

import stat

import pytest
import torch

from kedrec.lladr import native_kernels as native
from kedrec.lladr.scoring_tiles import distance

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no C++ compiler")


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty store, and nothing loaded yet."""
    store = tmp_path / "store"
    monkeypatch.setenv("KEDREC_STORE", str(store))
    native.library.cache_clear()
    yield store
    native.library.cache_clear()


def _works():
    left, right = torch.randn(1, 64, 128), torch.randn(1, 256, 128)
    torch.testing.assert_close(distance("l1", left, right), torch.cdist(left, right, p=1), rtol=1e-5, atol=1e-4)
    return native.library() is not None


@needs_compiler
def test_it_is_compiled_once_and_kept(fresh):
    assert _works()
    (kept,) = fresh.glob("native/*/kedrec.so")
    native.library.cache_clear()
    before = kept.stat().st_mtime_ns
    assert _works()
    assert kept.stat().st_mtime_ns == before


@needs_compiler
def test_other_options_are_another_library(fresh, monkeypatch):
    assert _works()
    native.library.cache_clear()
    monkeypatch.setattr(native, "_OPTIONS", (*native._OPTIONS, "-DOTHER"))
    assert _works()
    assert len(list(fresh.glob("native/*/kedrec.so"))) == 2


@needs_compiler
def test_a_store_that_cannot_be_written_does_without_keeping_it(fresh):
    fresh.write_text("a file, not a folder")
    assert _works()


def test_without_a_compiler_there_is_no_library_and_no_word(fresh, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not _works()
    assert caplog.text == ""


@pytest.mark.slow
def test_a_compiler_that_fails_is_told_once(fresh, tmp_path, monkeypatch, caplog):
    broken = tmp_path / "broken-compiler"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "no such option" >&2\nexit 1\n')
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(broken))
    assert not _works()
    assert not _works()
    assert len(caplog.records) == 1
    assert "no such option" in caplog.text
    assert not [path for path in fresh.rglob("*") if path.suffix != ".lock" and path.is_file()]


@needs_compiler
def test_memory_that_the_functions_cannot_read_is_refused():
    fit = torch.zeros(1, 2, 16)
    for unfit in (fit.double(), torch.zeros(1, 16, 2).transpose(1, 2)):
        with pytest.raises(AssertionError):
            native.tile("l1", fit, unfit)
