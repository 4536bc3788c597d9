"""Fixtures of the tests that ask a server on loopback, or read real files."""

import pytest

from kedrec.sources.http.client import Web
from tests.support.faulty_server import FaultyServer


@pytest.fixture
def online(monkeypatch):
    """Without the variables that forbid the network, which the tests else run under, and without proxies."""
    for name in ("KEDREC_OFFLINE", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with FaultyServer() as running:
        yield running


@pytest.fixture(scope="session")
def web():
    """A client that waits little; one for all tests, as making it takes longer than most of them."""
    return Web(rate=1000, tries=4, timeout=5, patience=2)
