"""Count the calls between files that a question makes, and a click in the chat panel.

    python tests/benchmarks/count_calls.py         both counts and their limits
    python tests/benchmarks/count_calls.py --list  every call, too

A *call* is a pair of functions of ``aeron_magic`` in different files, of which one calls the other
directly. Properties, generators, coroutines and lambdas are functions, too; each pair counts once,
however often it is called. The *modules* are those of all pairs. The sandbox does not count: it
runs in another process.

Both counts are taken in a real kernel with ``sys.setprofile`` in the shell's thread and in that of
the background loop, after a first question has connected and imported everything:

* the question is a ``%%aeron`` cell without options or values, from the magic until the HTTP
  library gets the request;
* the click is the message ``ask`` of a page, until the last message about its end was sent. The
  transcript, which follows after a pause, is not part of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from credentials import credentials  # noqa: E402 - its folder had to be named first
from live_kernel import Kernel, running_kernel  # noqa: E402

from aeron_magic.sandbox import Sandbox  # noqa: E402

QUESTION_LIMITS = (32, 15)
CLICK_LIMITS = (80, 25)

PROBE = """
import os as _os, sys as _sys, threading as _threading
import aeron_magic as _package

class _CallCounter:
    root = _os.path.dirname(_package.__file__) + _os.sep

    def __init__(self):
        self.pairs, self.active = set(), False

    def name(self, frame):
        file = frame.f_code.co_filename
        if not file.startswith(self.root):
            return None
        return file[len(self.root):] + ":" + frame.f_code.co_qualname

    def __call__(self, frame, event, argument):
        if event != "call" or not self.active:
            return
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        if name == "send" and file.endswith(_os.path.join("httpx", "_client.py")):
            self.active = self.active != "question"
        callee = self.name(frame)
        caller = self.name(frame.f_back) if callee and frame.f_back else None
        if caller and caller.split(":")[0] != callee.split(":")[0]:
            self.pairs.add((caller, callee))

_counter = _CallCounter()
_sys.setprofile(_counter)
_threading.setprofile(_counter)  # the thread of the background loop starts later
"""

PANEL = """
from aeron_magic import ChatPanel as _ChatPanel
_panel = _ChatPanel()
_send, _sent = _panel.send, []

def _observed(content, buffers=None):
    _send(content, buffers)
    _sent.append(content["type"])
    if content["type"] == "end":
        _counter.active = False

_panel.send = _observed
"""


class Count(NamedTuple):
    """The calls of one action, as (calling function, called function)."""

    calls: list[tuple[str, str]]

    @property
    def modules(self) -> list[str]:
        """The modules that take part."""
        return sorted({name.split(":")[0] for call in self.calls for name in call})


@contextmanager
def counting_kernel() -> Iterator[Kernel]:
    """A kernel that counts calls, after its first question."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox() as sandbox,
        running_kernel(Path(folder), **credentials(sandbox.aeronpay_url)) as kernel,
    ):
        for cell in (PROBE, "%load_ext aeron_magic", "%%aeron\nWhat is AeronPay?"):
            run = kernel.execute(cell)
            assert run.status == "ok", run.outputs
        yield kernel


def count_question() -> Count:
    """Count the calls of a question, from the magic to the wire."""
    with counting_kernel() as kernel:
        kernel.execute("_counter.active = 'question'", None)
        run = kernel.execute("%%aeron\nWhat is a context_token?", "cell-2")
        assert run.status == "ok", run.outputs
        return _result(kernel)


def count_click() -> Count:
    """Count the calls of a question in the panel, from the page's message to the end."""
    with counting_kernel() as kernel:
        run = kernel.execute(PANEL, None)
        assert run.status == "ok", run.outputs
        comm = kernel.value("_panel.comm.comm_id")
        _click(kernel, comm, "How do I put a value into my question?")
        kernel.execute("_sent.clear(); _counter.pairs.clear(); _counter.active = 'click'", None)
        _click(kernel, comm, "What is a context_token?")
        return _result(kernel)


def _click(kernel: Kernel, comm: str, text: str) -> None:
    kernel.send_comm(comm, {"do": "ask", "id": text, "text": text})
    deadline = time.monotonic() + 20
    while kernel.value("_sent and _sent[-1]") != "end":
        assert time.monotonic() < deadline, "the question has not ended"
    time.sleep(1)  # until the transcript was updated


def _result(kernel: Kernel) -> Count:
    assert not kernel.value("_counter.active"), "the end was not seen"
    return Count([(caller, callee) for caller, callee in kernel.value("sorted(_counter.pairs)")])


def main() -> int:
    """Print both counts; 1 if one is over its limit."""
    failed = False
    for name, count, limits in (
        ("question", count_question(), QUESTION_LIMITS),
        ("click", count_click(), CLICK_LIMITS),
    ):
        found = (len(count.calls), len(count.modules))
        failed = failed or found[0] > limits[0] or found[1] > limits[1]
        print(f"{name}: {found[0]} calls (at most {limits[0]}) ", end="")
        print(f"in {found[1]} modules (at most {limits[1]})")
        if "--list" in sys.argv:
            print("\n".join(f"  {caller} -> {callee}" for caller, callee in count.calls))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
