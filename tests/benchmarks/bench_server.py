"""What of a streamed reply a Jupyter server drops on the way to the page.

A server counts what a kernel publishes within some seconds; of one that publishes more than a
thousand messages in each of them it drops the rest, and says so in the cell. Here a real server
with its own limits stands between a kernel and a page's WebSocket; another client listens to the
kernel itself, and what only that one gets has been dropped.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fast_server import running_server, text_of
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_site import Site, running_site
from measure import Measure
from websocket import WebSocket, create_connection

TITLE = "Through a Jupyter server to its page"

WORKS = (
    ("10,000 chunks at once", "markdown/10000/one"),
    ("50,000 chunks at once", "markdown/50000/one"),
    ("2,000 chunks, 500/s", "markdown/2000/500"),
)
QUICK = WORKS[:1]

LOAD = """
%load_ext aeron_magic
%env AERON_CLIENT_ID=bench
%env AERON_CLIENT_SECRET=none-at-all
%env AERON_HISTORY=off
"""


@dataclass(frozen=True)
class Cell:
    """What a cell has published: to the page, and before it came to the server."""

    got: list[dict[str, Any]]
    sent: list[dict[str, Any]]

    @property
    def dropped(self) -> int:
        """Messages that did not reach the page."""
        arrived = {message["header"]["msg_id"] for message in self.got}
        return sum(message["header"]["msg_id"] not in arrived for message in self.sent)

    @property
    def complaints(self) -> int:
        """How often the server has said in the cell that it drops something."""
        return sum(
            "rate exceeded" in message["content"].get("text", "")
            for message in self.got
            if message["header"]["msg_type"] == "stream"
        )


class Notebook:
    """Runs cells by the server's WebSocket, as a page does, and listens to the kernel too."""

    def __init__(self, socket: WebSocket, beside: BlockingKernelClient) -> None:
        self._socket = socket
        self._beside = beside
        self._session = uuid.uuid4().hex

    def run(self, code: str) -> Cell:
        """Run a cell, and wait until the kernel is idle again."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "session": self._session,
            "username": "",
            "version": "5.3",
        }
        message = {
            "channel": "shell",
            "header": header,
            "parent_header": {},
            "metadata": {"cellId": uuid.uuid4().hex},
            "content": {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
            },
        }
        cell = header["msg_id"]
        with ThreadPoolExecutor(1) as pool:  # what is not fetched would be lost beyond a thousand
            sent = pool.submit(_until_idle, cell, lambda: self._beside.get_iopub_msg(timeout=60))
            self._socket.send(json.dumps(message))
            got = _until_idle(cell, lambda: json.loads(self._socket.recv()))
            return Cell(got, sent.result())


def _until_idle(cell: str, receive: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """What was published for the cell with this id, up to its end."""
    found = []
    while True:
        message = receive()
        is_published = message.get("channel", "iopub") == "iopub"
        if is_published and message["parent_header"].get("msg_id") == cell:
            found.append(message)
            if message["content"].get("execution_state") == "idle":
                return found


@contextmanager
def running_notebook(site: Site) -> Iterator[Notebook]:
    """A kernel of the server, with a page's connection to it and one of its own."""
    kernel = site.ask("api/kernels", "POST")["id"]
    address = f"{site.url}/api/kernels/{kernel}/channels?token={site.token}"
    beside = BlockingKernelClient()
    beside.load_connection_file(str(site.folder.parent / "runtime" / f"kernel-{kernel}.json"))
    beside.start_channels(shell=False, stdin=False, hb=False, control=False)
    socket = create_connection(address.replace("http", "ws", 1), timeout=120)
    try:
        yield Notebook(socket, beside)
    finally:
        socket.close()
        beside.stop_channels()
        site.ask(f"api/kernels/{kernel}", "DELETE")


def run(quick: bool) -> list[Measure]:
    """Rows for each way of sending."""
    measures: list[Measure] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server() as server,
        running_site(Path(folder)) as site,
        running_notebook(site) as notebook,
    ):
        notebook.run(LOAD)
        for work, path in QUICK if quick else WORKS:
            notebook.run(f"%aeron connect aeronpay --base-url {server}/{path}")
            cell = notebook.run("%%aeron\nTell me.")
            measures += _measures(work, cell, text_of("markdown", int(path.split("/")[1])))
    return measures


def _measures(work: str, cell: Cell, text: str) -> list[Measure]:
    shown = [message["content"].get("data", {}).get("text/markdown") for message in cell.got]
    assert text in shown, "the reply is another one"
    return [
        Measure(work, "messages dropped", cell.dropped, f"of {len(cell.sent)}", 0),
        Measure(work, "complaints of the server in the cell", cell.complaints, "", 0),
    ]
