"""A reply that streams into a cell of a real page: growth, completeness and safety."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from credentials import connecting
from notebook_page import Frontend, NotebookPage

from aeron_magic.sandbox import Faults, Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LINE = 22
"""Pixels of a line of text."""

STORY = (
    "# A long story\n\n"
    + "\n\n".join(
        f"## Chapter {n}\n\nIn chapter {n} somebody says **word{n}**, twice: word{n}. "
        + "Then nothing happens for a while, and the rain goes on. " * 6
        + f"\n\n- one of {n}\n- two of {n}\n\n```python\ndef chapter_{n}(rain=True):\n"
        f'    return "wet" if rain else {n}\n```'
        for n in range(8)
    )
    + "\n\n| chapter | weather |\n|---|---|\n| first | rain |\n| last | more rain |\n\nThe end.\n"
)


def without_spaces(text: str) -> str:
    """Text without spaces, the lines about waiting and receiving, and vertical bars.

    The first line of a table cannot be told from text before the second has come.
    """
    return "".join(re.sub(r"waiting for .*? …|receiving …|[|]", "", text).split())


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_text_grows_in_place(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path, frontend: Frontend
) -> None:
    """Each frame shows a beginning of the reply, never a shorter one than the frame before."""
    sandbox.set_faults(say=STORY, pause=0.004)
    lab.open(connecting(sandbox), "%%aeron\nTell me a long story", frontend=frontend)
    lab.run(0)
    lab.watch(1)
    lab.start(1)
    lab.wait_shown(1, "word4")
    lab.screenshot(screenshots / f"stream-middle-{frontend}.png")
    lab.page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.content.model.cells.get(1).executionCount"
    )
    states = lab.watched()
    lab.screenshot(screenshots / f"stream-end-{frontend}.png")

    (final,) = lab.outputs(1)
    assert "".join(final["data"]["text/markdown"]) == STORY
    whole = without_spaces(lab.shown(1))
    texts = [without_spaces(text) for _, text in states]
    assert len(set(texts)) > 10
    assert [text for text in texts if not whole.startswith(text)] == []
    heights = [height for height, _ in states]
    if frontend == "lab":  # Notebook 7 puts a long output into a scrolling box
        # A finished block and the rest come in two messages: for a frame the line about receiving
        # is missing.
        assert all(after > before - 2 * LINE for before, after in itertools.pairwise(heights))
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)


def hostile(trap: str) -> str:
    """A reply that tries to run scripts and to load from the address ``trap``."""
    return f"""# Harmless

<script>window.stolen = 'script'</script>
<img src="{trap}/img?secret" onerror="window.stolen = 'onerror'">
<svg onload="window.stolen = 'svg'"><image href="{trap}/svg"/></svg>
<iframe src="{trap}/iframe"></iframe>
<object data="{trap}/object"></object><embed src="{trap}/embed">
<link rel="stylesheet" href="{trap}/css"><style>@import url({trap}/import);</style>
<video src="{trap}/video" autoplay></video><audio src="{trap}/audio" autoplay></audio>
<div style="background: url({trap}/style)">styled</div>
<form action="{trap}/form"><input type="submit" value="Send"></form>
<button data-commandlinker-command="help:about" data-commandlinker-args="{{}}">b</button>
<meta http-equiv="refresh" content="0;url={trap}/refresh"><base href="{trap}/">

![pixel]({trap}/markdown?secret)

![by reference][pixel] and [a script](javascript:window.stolen='link')

[pixel]: {trap}/reference

[data](data:text/html,<script>window.stolen='data'</script>)

$\\href{{javascript:window.stolen='math'}}{{x}}$ and $\\unicode{{x41}}$

```mermaid
graph TD
  A["<img src='{trap}/mermaid' onerror='window.stolen=1'>"] --> B
  click A "javascript:window.stolen='mermaid'"
```

The end.
"""


def test_scripts_and_requests_of_an_output_are_noticed(
    lab: NotebookPage, screenshots: Path
) -> None:
    """Without this, the tests of hostile replies would prove nothing: live output is trusted."""
    lab.open(
        "from IPython.display import HTML\n"
        "HTML('<script>window.stolen = 1</script><img src=\"/static/no.png?secret\">')"
    )
    with lab.requests_during() as requests:
        lab.run(0)
        lab.page.wait_for_function("window.stolen === 1")
        lab.page.evaluate("() => { delete window.stolen; }")  # other tests use the page too
    assert any(url.endswith("no.png?secret") for url in requests)
    lab.theme("JupyterLab Dark")
    lab.screenshot(screenshots / "trap-dark.png")
    lab.theme("JupyterLab Light")
    lab.screenshot(screenshots / "trap-cell.png", 0)


def test_a_hostile_reply_runs_nothing_and_fetches_nothing(
    lab: NotebookPage,
    sandbox: Sandbox,
    other_server: tuple[str, list[str]],
    screenshots: Path,
) -> None:
    """While it streams, at its end, when it is shown again, and when the file is reopened."""
    address, asked = other_server
    sandbox.set_faults(say=hostile(address), chunk_size=7, pause=0.001)
    lab.open(connecting(sandbox), "%%aeron\nDo your worst", "%aeron last", "%aeron history")
    with lab.requests_during() as requests:
        lab.run_all()
        for index in (1, 2):
            lab.wait_shown(index, "The end.")
        for link in lab.page.locator(".jp-OutputArea-output a").all():
            assert (link.get_attribute("href") or "").startswith(("http://", "https://", "mailto:"))
        lab.page.wait_for_timeout(1000)  # what would be fetched late
        lab.screenshot(screenshots / "hostile.png")
    assert lab.page.evaluate("window.stolen ?? null") is None
    assert [url for url in requests if url.startswith(address)] == []
    assert asked == []
    outputs = lab.page.locator(".jp-OutputArea-output")
    for what in (
        *("script", "img", "iframe", "object", "embed", "link", "style", "video", "audio"),
        *("form", "input", "button", "meta", "base", "svg"),
        *("[data-commandlinker-command]", "[onerror]", "[onload]", "[style*=url]"),
    ):
        assert outputs.locator(what).count() == 0, what

    lab.save()
    sandbox.faults = Faults()
    lab.visit()
    lab.wait_shown(1, "The end.")
    assert lab.page.evaluate("window.stolen ?? null") is None
    assert asked == []


def test_stop_keeps_what_came_on_screen(lab: NotebookPage, sandbox: Sandbox) -> None:
    """The text stays and is marked as interrupted; later cells do not run."""
    sandbox.set_faults(chunks=tuple(f"drip{n} " for n in range(600)), pause=0.1)
    lab.open(connecting(sandbox), "%%aeron -o partial\nDrip", "print('never')")
    lab.run(0)
    lab.start_all()
    lab.wait_shown(1, "drip9")
    lab.interrupt()
    lab.wait_shown(1, "Interrupted")
    lab.page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.content.model.cells.get(1).executionCount"
    )
    assert "drip9" in lab.shown(1)
    assert lab.prompt(2) is None
    assert sandbox.log.wait(lambda records: records[-1].closed_by_client, 2.0)
