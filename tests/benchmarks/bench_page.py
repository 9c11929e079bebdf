"""How far a JupyterLab page is behind while a long reply streams into a cell, in a real browser.

The page notes at every frame how far the text goes, and which of its tasks took longer than 50 ms;
the service, a process of its own, when it sent each chunk. All of it runs on one machine, so a
browser that draws without a graphics card takes its share of the processor from the kernel.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from fast_server import running_server, text_of
from find_browser import find_browser
from jupyter_site import running_site
from measure import Measure
from notebook_page import NotebookPage

TITLE = "In JupyterLab: a reply of 50 kB at 500 chunks a second"

COUNT = 9_000
WATCH = """() => {
    const area = jupyterapp.shell.currentWidget.content.widgets[1].outputArea.node;
    window.frames_ = [];
    window.tasks_ = [];
    new PerformanceObserver(list => {
        for (const one of list.getEntries()) window.tasks_.push(one.duration);
    }).observe({ type: 'longtask' });
    let last = -1;
    const look = () => {
        const words = area.textContent.slice(-400).match(/w\\d+/g);
        const now = words ? Math.max(...words.map(word => Number(word.slice(1)))) : -1;
        if (now > last) {
            last = now;
            window.frames_.push([performance.timeOrigin + performance.now(), now]);
        }
        requestAnimationFrame(look);
    };
    look();
}"""


def run(quick: bool) -> list[Measure]:
    """Rows of one reply; shorter, if it is only to be tried out."""
    count = 1_500 if quick else COUNT
    work = f"{len(text_of('markdown', count)) / 1000:.0f} kB in {count / 500:.0f} s"
    path = find_browser()
    if path is None:
        return [Measure(work, "page", None, note="no Chromium on PATH")]
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        running_server() as server,
        running_site(Path(folder)) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = NotebookPage(browser.new_page(viewport={"width": 1280, "height": 900}), site)
        page.open(_load(f"{server}/markdown/{count}/500"), "%%aeron\nTell me.")
        page.run(0)
        page.page.evaluate(WATCH)
        page.run(1)
        page.page.wait_for_function(f"() => window.frames_.at(-1)?.[1] === {count - 1}")
        frames, tasks = page.page.evaluate("() => [window.frames_, window.tasks_]")
        outputs = page.outputs(1)
        browser.close()
        with urllib.request.urlopen(f"{server}/times") as answer:
            *sent, _ = json.load(answer)
    assert "".join(outputs[0]["data"]["text/markdown"]) == text_of("markdown", count)
    return _measures(work, frames, tasks, sent)


def _load(address: str) -> str:
    return (
        "%load_ext aeron_magic\n%env AERON_CLIENT_ID=bench\n%env AERON_CLIENT_SECRET=none-at-all\n"
        f"%env AERON_HISTORY=off\n%aeron connect aeronpay --base-url {address}"
    )


def _measures(
    work: str, frames: list[tuple[float, int]], tasks: list[float], sent: list[float]
) -> list[Measure]:
    epoch = time.time() - time.monotonic()
    lags: list[float] = []
    for at, word in frames:
        while len(lags) <= word:
            lags.append(at - (sent[len(lags)] + epoch) * 1e3)
    return [
        Measure(work, "the page is behind at the end", lags[-1], "ms", 250),
        Measure(work, "behind, median", statistics.median(lags), "ms"),
        Measure(work, "behind, worst", max(lags), "ms"),
        Measure(work, "longest task", max(tasks, default=0), "ms", 200),
        Measure(work, "tasks over 50 ms", len(tasks), ""),
    ]
