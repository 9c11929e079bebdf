"""What the extension costs before it has done anything: to load it, and to ask the first question.

In kernels that are up, each measured once, with the byte code of every module at hand, as a
kernel finds it on any day but the first. A question is watched from outside: the service it goes
to stands in this process, and looks at the kernel's CPU time when the request has come. Kernels
are not told of a file of authorities (``SSL_CERT_FILE``), so that each client takes its own.

The peers want other packages than ours, so each has a virtual environment of its own
(``pip install jupysql ipykernel``; ``pip install jupyter-ai-magics ipykernel``), and a variable
names that one's Python: ``AERON_BENCH_JUPYSQL``, ``AERON_BENCH_JUPYTER_AI``.
"""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from live_kernel import Kernel, running_kernel
from measure import Measure, cpu_of, interleaved

TITLE = "Loading the extension, and the first question"

LOAD = """
import sys as _sys, time as _time
_before = set(_sys.modules)
_began = _time.process_time()
get_ipython().run_line_magic("load_ext", {name!r})
_cpu = _time.process_time() - _began
_fresh = sorted(set(_sys.modules) - _before)
"""
PEERS = {
    "jupysql": ("AERON_BENCH_JUPYSQL", "sql"),
    "jupyter-ai-magics": ("AERON_BENCH_JUPYTER_AI", "jupyter_ai_magics"),
}
"""The variable that names the Python which has the peer, and the extension to load."""
SHUNNED = ("httpx", "ipywidgets", "anywidget", "pandas", "markdown_it", "pygments.lexers")


WAYS = {
    "httpx alone": (
        "pass",
        "import asyncio, threading, httpx\n"
        "async def ask():\n"
        "    async with httpx.AsyncClient() as client:\n"
        "        await client.post({address!r}, json={{}})\n"
        "threading.Thread(target=lambda: asyncio.run(ask())).start()",
    ),
    "%%aeron, which connects by itself": (
        "import os; os.environ['AERON_BASE_URL'] = {address!r}",
        "%%aeron\nWhat is AeronPay?",
    ),
    "%%aeron after %aeron connect": (
        "%aeron connect aeronpay --base-url {address}",
        "%%aeron\nWhat is AeronPay?",
    ),
}
"""What asks the first question: the cell before it, and the cell that is measured."""


def run(quick: bool) -> list[Measure]:
    """Rows of both."""
    kernels = 2 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with _kernel(home) as kernel:  # writes the byte code
            _load(kernel, "aeron_magic")
            for way in WAYS:
                _first_question(kernel, "http", way)
        found = []
        for _ in range(kernels):
            with _kernel(home) as kernel:
                cpu, fresh = _load(kernel, "aeron_magic")
                found.append((cpu, len(fresh), [name for name in SHUNNED if name in fresh]))
        measures = [
            Measure("%load_ext", "CPU", statistics.median(row[0] for row in found), "ms", 10),
            Measure("%load_ext", "modules", max(row[1] for row in found), "", 15),
            Measure("%load_ext", "of them for HTTP, widgets, HTML", len(found[0][2]), "", 0),
        ]
        measures += [_peer(home, peer, kernels) for peer in PEERS]
        for scheme in ("http", "https"):
            found_by = interleaved(
                {way: partial(_first_in_a_kernel, home, scheme, way) for way in WAYS}, kernels
            )
            for way, times in found_by.items():
                work = f"until the first request has come, {scheme}"
                most = 150 if way.startswith("%%aeron") else None
                measures.append(Measure(work, way, statistics.median(times), "ms CPU", most))
    return measures


@contextmanager
def _kernel(home: Path, python: str = "") -> Iterator[Kernel]:
    byte_code = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(home / "byte-code")}
    credentials = {"AERON_CLIENT_ID": "bench", "AERON_CLIENT_SECRET": "none-at-all"}
    system = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}
    with running_kernel(home, python, **byte_code, **credentials, **system) as kernel:
        yield kernel


def _load(kernel: Kernel, name: str) -> tuple[float, list[str]]:
    """Milliseconds of CPU, and the modules that came with it."""
    run = kernel.execute(LOAD.format(name=name), timeout=120)
    assert run.status == "ok", run.reply
    cpu, fresh = kernel.value("[_cpu, _fresh]")
    return cpu * 1e3, fresh


def _peer(home: Path, peer: str, kernels: int) -> Measure:
    variable, extension = PEERS[peer]
    python = os.environ.get(variable)
    if not python:
        return Measure("%load_ext", peer, None, note=f"{variable} names no Python that has it")
    times = []
    for _ in range(1 + kernels):
        with _kernel(home, python) as kernel:
            times.append(_load(kernel, extension)[0])
    return Measure("%load_ext", peer, statistics.median(times[1:]), "ms")  # the first: byte code


def _first_in_a_kernel(home: Path, scheme: str, way: str) -> float:
    with _kernel(home) as kernel:
        _load(kernel, "aeron_magic")
        return _first_question(kernel, scheme, way)


def _first_question(kernel: Kernel, scheme: str, way: str) -> float:
    """Milliseconds of CPU from the cell to its request; of https, to the client's hello."""
    process = kernel.value("__import__('os').getpid()")
    came = threading.Event()
    seen: list[float] = []

    def answer() -> None:
        connection, _ = service.accept()
        with connection:
            connection.recv(65536)
            seen.append(cpu_of(process))
            came.set()
            connection.sendall(b"HTTP/1.1 400 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as service:
        thread = threading.Thread(target=answer)
        thread.start()
        address = f"{scheme}://127.0.0.1:{service.getsockname()[1]}"
        before_it, cell = WAYS[way]
        assert kernel.execute(before_it.format(address=address)).status == "ok"
        before = cpu_of(process)
        run = kernel.start(cell.format(address=address))
        assert came.wait(20), "no request came"
        thread.join()
        if scheme == "http":  # else it asks again, for as long as its kernel is there
            kernel.finish(run)
    return (seen[0] - before) * 1e3
