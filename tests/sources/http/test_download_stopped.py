import errno
import hashlib
import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from kedrec.sources.http.client import Web
from tests.support.faulty_server import fails, file, ranges

pytestmark = pytest.mark.usefixtures("online")

DATA = random.Random(0).randbytes(300_000)
DAMAGED = DATA[:-1] + bytes([DATA[-1] ^ 1])
SHA256 = hashlib.sha256(DATA).hexdigest()


def test_a_full_disk_is_one_clear_error_and_the_download_goes_on(server, web, tmp_path, monkeypatch):
    url = server.script("/f", file(DATA))
    room = {"left": 120_000}
    opened = Path.open

    def small(self, mode="r", *args, **kwargs):
        handle = opened(self, mode, *args, **kwargs)
        if "a" in mode:
            write = handle.write

            def filling(block):
                if (fits := min(len(block), room["left"])) < len(block):
                    write(block[:fits])
                    room["left"] -= fits
                    raise OSError(errno.ENOSPC, "No space left on device")
                room["left"] -= len(block)
                return write(block)

            return _Disk(handle, filling)
        return handle

    monkeypatch.setattr(Path, "open", small)
    fails(lambda: web.download(url, tmp_path / "f"), str(tmp_path / "f"), "the disk is full", "the download resumes")
    assert not (tmp_path / "f").exists()
    assert (tmp_path / ".f.partial").read_bytes() == DATA[:120_000]
    room["left"] = len(DATA)
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=120000-"]


class _Disk:
    """A file handle whose writes fail when the room is used up."""

    def __init__(self, handle, write):
        self.handle, self.write = handle, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.handle.close()

    def __getattr__(self, name):
        return getattr(self.handle, name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_truly_full_device_is_one_clear_error(server, web, tmp_path, monkeypatch):
    (tmp_path / ".f.partial").symlink_to("/dev/full")
    monkeypatch.setattr("kedrec.sources.http.download.Unfinished.discard", lambda self: None)  # keeps the link
    url = server.script("/f", file(DATA))
    fails(lambda: web.download(url, tmp_path / "f"), str(tmp_path / "f"), "the disk is full", "start again")
    assert not (tmp_path / "f").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_clear_error(server, web, tmp_path):
    tmp_path.chmod(0o500)
    fails(lambda: web.download(server.script("/f", file(DATA)), tmp_path / "f"), "cannot be written")


def _download(url, place):
    Web(rate=1000).download(url, Path(place))


@pytest.mark.slow
def test_a_killed_download_goes_on_in_the_next_process(server, web, tmp_path):
    sent = threading.Event()

    def stuck(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(DATA[:200_000])
        handler.wfile.flush()
        sent.set()
        time.sleep(3)

    url = server.script("/f", stuck, file(DATA))
    process = multiprocessing.get_context("spawn").Process(target=_download, args=(url, str(tmp_path / "f")))
    process.start()
    assert sent.wait(20)
    part = tmp_path / ".f.partial"
    while not part.exists() or part.stat().st_size < 100_000:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    have = part.stat().st_size
    assert 100_000 <= have < len(DATA)
    assert not (tmp_path / "f").exists()
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, f"bytes={have}-"]
