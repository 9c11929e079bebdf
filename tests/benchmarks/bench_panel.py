"""What a chunk costs in the chat panel, with no turns before it and with a thousand.

In the kernel: a real one, and the messages as a front end gets them. Bytes are those on the wire,
envelopes included, compared with the same messages if they held the reply's HTML, which is made in
the kernel, each part of it once and nothing else. CPU time is that beyond reading the same stream
and showing nothing; a message costs a millisecond of it, and slow chunks come few to a message.

In the browser: the CPU time of the longest task of JupyterLab's page, while the panel opens on a
thousand turns and while a reply of some 50 kB comes in below them.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench_showing import ALONE, CLEAR
from fast_server import running_server, text_of
from find_browser import find_browser
from jupyter_site import running_site
from live_kernel import Kernel, Run, running_kernel
from measure import Measure
from notebook_page import NotebookPage
from page_tasks import begin, longest_tasks
from panel_page import PanelPage

from aeron_magic.rendering.safe_html import to_html

TITLE = "The chat panel: one more chunk, with 0 and with 1,000 turns before it"

TURNS = 1_000
STREAMS = {
    "10,000 chunks at once": "markdown/10000/one",
    "3,000 chunks at 500/s": "markdown/3000/500",
    "800 chunks at 100/s": "markdown/800/100",
}

PAGE_COUNT = 9_000
"""Chunks of the reply in the browser."""

PANEL = """
%env AERON_CLIENT_ID=bench
%env AERON_CLIENT_SECRET=none-at-all
%env AERON_HISTORY=off
%load_ext aeron_magic
"""

ASKED = """
import threading as _threading, time as _time
from aeron_magic import ChatPanel as _ChatPanel
from aeron_magic.client.client import make_question as _question
from aeron_magic.jupyter.app import current_app as _current_app
from aeron_magic.replies.reply import Reply as _Reply

_session = _current_app(get_ipython()).session
_panel = _ChatPanel()

class _Ends:
    def __init__(self):
        self.come = _threading.Event()
    def question_started(self, question):
        pass
    def question_progressed(self, question):
        pass
    def conversation_changed(self):
        pass
    def question_finished(self, question):
        self.come.set()  # after the panel's controller, which is the first observer

_ends = _Ends()
_session.observers.append(_ends)

def _asked():
    began = _time.process_time()
    position = _session.position_for()
    _ends.come.clear()
    asked = _session.ask(_question("Tell me.", position.token), position, request_id="panel")
    _ends.come.wait()
    return [asked.reply.text, _time.process_time() - began]

def _turns(count):
    _session.new()
    tree = _session.tree
    text = "Some **words** and a list:\\n\\n- one\\n- two\\n\\n```python\\nx = 1\\n```\\n" * 3
    for n in range(count):
        pending = tree.start(tree.at_head(), f"Question {n}")
        tree.complete(pending, _Reply(f"Answer {n}. " + text, context_token=f"apay_{n:048}"))
    _session.use(tree.name)
    shown = _threading.Event()
    _session.io_loop.call_soon(shown.set)  # behind what the panel does to show them
    shown.wait()
"""

MARK = """() => {
    const root = document.querySelector('.aeron-panel');
    new MutationObserver(() => {
        if (root.dataset.state === 'ready') performance.mark('part: ended');
    }).observe(root, { attributes: true, attributeFilter: ['data-state'] });
}"""
IS_READY = "() => document.querySelector('.aeron-panel')?.dataset.state === 'ready'"


def run(quick: bool) -> list[Measure]:
    """Rows of the kernel's side and of the browser's."""
    with running_server() as server:
        return [*_in_the_kernel(server, quick), *_in_the_browser(server, quick)]


# The kernel's side -----------------------------------------------------------------------------


def _in_the_kernel(server: str, quick: bool) -> list[Measure]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_kernel(Path(folder)) as kernel,
    ):
        kernel.execute(PANEL)
        kernel.execute(ASKED)
        found = []
        for name, path in STREAMS.items():
            kernel.execute(f"%aeron connect aeronpay --base-url {server}/{path}")
            kernel.execute(ALONE.format(url=f"{server}/{path}"))
            found += _stream(kernel, name, path, rounds=3 if quick else 5)
    return found


def _stream(kernel: Kernel, name: str, path: str, rounds: int) -> list[Measure]:
    kind, count, _ = path.split("/")
    text = text_of(kind, int(count))
    costs: dict[int, list[float]] = {0: [], TURNS: []}
    for number in range(rounds):
        _, alone = kernel.value("_alone()", timeout=120)
        for turns in sorted(costs, reverse=bool(number % 2)):
            kernel.execute(f"_turns({turns})")
            kernel.execute(CLEAR)
            run = kernel.execute("import json; print(json.dumps(_asked()))", timeout=120)
            assert run.status == "ok", run.reply
            came, cpu = json.loads(run.text)
            assert came == text, "the reply is another one"
            costs[turns].append((cpu - alone) / int(count) * 1e3)
    size, least = _bytes(run, to_html(text))
    return [
        *(
            Measure(name, f"{turns:,} turns: CPU a chunk", statistics.median(found), "ms", 0.1)
            for turns, found in costs.items()
        ),
        Measure(name, "bytes ÷ the same messages with the reply's HTML", size / least, "x", 1.5),
        Measure(name, "bytes ÷ text", size / len(text.encode()), "x"),
    ]


def _bytes(run: Run, html: str) -> tuple[int, int]:
    """Bytes of the messages about a reply; what they would be with its HTML and nothing else."""
    size = envelopes = 0
    for message in run.of("comm_msg"):
        data = message.content["data"]
        if data.get("method") == "custom" and data["content"]["type"] in ("delta", "end"):
            size += message.size
            envelopes += message.size - len(_json(data["content"]))
    return size, envelopes + len(_json(html))


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


# The browser's side ----------------------------------------------------------------------------


def _in_the_browser(server: str, quick: bool) -> list[Measure]:
    count = 1_500 if quick else PAGE_COUNT
    size = len(text_of("markdown", count)) / 1000
    work = f"JupyterLab, {TURNS:,} turns, {size:.0f} kB at 500 chunks/s: longest task"
    path = find_browser()
    if path is None:
        return [Measure(work, "page", None, note="no Chromium on PATH")]
    from playwright.sync_api import sync_playwright

    connect = f"%aeron connect aeronpay --base-url {server}/markdown/{count}/500"
    with (
        tempfile.TemporaryDirectory() as folder,
        running_site(Path(folder)) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = NotebookPage(browser.new_page(viewport={"width": 1280, "height": 900}), site)
        (site.folder / "asked.py").write_text(ASKED, encoding="utf-8")
        page.open(PANEL + connect, f"%run -i asked.py\n_turns({TURNS})", "%aeron panel")
        page.run(0)
        page.run(1)
        tasks = longest_tasks(page.page, lambda: _use(page))
        assert f"w{count - 1}" in PanelPage(page.page).reply()
        browser.close()
    cause = "JupyterLab looks for headings in the transcript that is saved with the notebook"
    return [
        Measure(work, "opening the panel", tasks["opening"], "ms CPU", 50),
        Measure(work, "two seconds later", tasks["opened"], "ms CPU", note=cause),
        Measure(work, "while the reply comes in", tasks["asked"], "ms CPU", 50),
        Measure(work, "two seconds later", tasks["ended"], "ms CPU", note=cause),
    ]


def _use(page: NotebookPage) -> None:
    """Open the panel, ask, and wait for the end."""
    begin(page.page, "opening")
    page.start(2)
    page.page.wait_for_function(IS_READY)
    begin(page.page, "opened")
    page.page.wait_for_timeout(2_000)
    page.page.evaluate("() => { document.querySelector('.aeron-panel textarea').focus(); }")
    page.page.evaluate(MARK)
    begin(page.page, "asked")
    page.page.keyboard.insert_text("Tell me.")
    page.page.keyboard.press("Enter")
    page.page.wait_for_timeout(1_000)  # it is ready before it is busy
    page.page.wait_for_function(IS_READY, polling=200)
    page.page.wait_for_timeout(2_000)
