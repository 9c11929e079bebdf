"""A forked process asks with connections, threads and a history of its own."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_notebook import FakeNotebook

from aeron_magic import Client, forks
from aeron_magic.sandbox import Faults, Sandbox

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def in_child(act: Callable[[], str]) -> str:
    """What ``act`` returns in a forked process; it has ten seconds."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        try:
            os.write(write, act().encode())
        except BaseException as error:  # noqa: BLE001 - the parent shows it
            os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        text = file.read().decode()
    _, status = os.waitpid(pid, 0)
    return text if status == 0 else f"signal {status}"


@pytest.fixture
def busy(sandbox: Sandbox) -> Sandbox:
    """A service whose replies take some time."""
    sandbox.faults = Faults(pause=0.002)
    return sandbox


def test_a_client_has_a_connection_of_its_own(busy: Sandbox) -> None:
    """One that both used would mix their replies."""
    with Client(base_url=busy.aeronpay_url, client_id="me", client_secret="mine") as client:
        client.ask("Before?", stream=False)
        before = client._transport.http
        assert in_child(lambda: str(client._transport.http is before)) == "False"
        assert in_child(lambda: client.ask("Who is the child?").status) == "complete"
        assert client.ask("After?").status == "complete"
        assert client._transport.http is before


def test_a_session_asks_in_a_forked_process(busy: Sandbox, tmp_path: Path) -> None:
    """Its loop has no thread there; the history gets a conversation of the child's own."""
    history = tmp_path / "history.sqlite3"
    notebook = FakeNotebook(busy, history=history)
    notebook.run("one")
    assert in_child(lambda: notebook.run("two").status) == "complete"
    assert notebook.run("three").status == "complete"
    notebook.close()
    with sqlite3.connect(history) as connection:
        rows = connection.execute(
            "SELECT group_concat(json_extract(content, '$.question'))"
            " FROM turn GROUP BY conversation ORDER BY conversation"
        ).fetchall()
    connection.close()
    assert rows == [
        ("question of one,question of three",),
        ("question of one,question of two",),
    ]


def test_an_object_is_not_kept_alive() -> None:
    class One:
        def after_fork(self) -> None:
            raise AssertionError

    one = One()
    forks.restart_after_fork(one)
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None
    assert in_child(lambda: sys.platform) == sys.platform
