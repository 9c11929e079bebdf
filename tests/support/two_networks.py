"""Network namespaces: workers reach a scheduler and a service, but not this process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["SCHEDULER", "NoNamespaces", "two_networks"]

SCHEDULER = "10.213.1.2:8786"
"""The scheduler's address, as this process sees it."""

FORWARD = """
import asyncio, sys
host, port, to = sys.argv[1], int(sys.argv[2]), sys.argv[3]

async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def serve(reader, writer):
    other_reader, other_writer = await asyncio.open_connection(to, port)
    await asyncio.gather(copy(reader, other_writer), copy(other_reader, writer))

async def main():
    async with await asyncio.start_server(serve, host, port) as server:
        await server.serve_forever()

asyncio.run(main())
"""


class NoNamespaces(Exception):
    """This system does not allow them; the text says why."""


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextlib.contextmanager
def two_networks(port: int) -> Iterator[None]:
    """A scheduler in one namespace, and two workers in another.

    What listens on ``port`` of this machine can be reached at ``127.0.0.1`` from the workers.
    """
    name = f"aeron{os.getpid()}"
    middle, far = f"{name}s", f"{name}w"
    processes: list[subprocess.Popen[bytes]] = []

    def start(namespace: str, *command: str) -> None:
        inside = ["ip", "netns", "exec", namespace, sys.executable, *command]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        processes.append(subprocess.Popen(inside, stderr=subprocess.DEVNULL, env=environment))

    try:
        for namespace in (middle, far):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        for number, (one, other) in enumerate((("", middle), (middle, far)), 1):
            at = ["-n", one] if one else []
            ends = f"{name[-8:]}{number}a", f"{name[-8:]}{number}b"
            _ip(*at, "link", "add", ends[0], "type", "veth", "peer", ends[1], "netns", other)
            _ip(*at, "addr", "add", f"10.213.{number}.1/24", "dev", ends[0])
            _ip("-n", other, "addr", "add", f"10.213.{number}.2/24", "dev", ends[1])
            _ip(*at, "link", "set", ends[0], "up")
            _ip("-n", other, "link", "set", ends[1], "up")
        _ip("netns", "exec", middle, "sysctl", "-qw", "net.ipv4.ip_forward=0")
        start(far, "-c", FORWARD, "127.0.0.1", str(port), "10.213.2.1")
        start(middle, "-c", FORWARD, "10.213.2.1", str(port), "10.213.1.1")
        processes.append(
            subprocess.Popen([sys.executable, "-c", FORWARD, "10.213.1.1", str(port), "127.0.0.1"])
        )
        start(middle, "-m", "distributed.cli.dask_scheduler", "--port", "8786", "--no-dashboard")
        for _ in range(2):
            worker = ("-m", "distributed.cli.dask_worker", "10.213.2.1:8786")
            start(far, *worker, "--no-nanny", "--nthreads", "1", "--no-dashboard")
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for namespace in (middle, far):
            with contextlib.suppress(NoNamespaces):
                _ip("netns", "delete", namespace)
