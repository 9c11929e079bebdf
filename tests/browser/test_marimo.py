"""A ``Client`` and the chat panel in marimo, which shows the panel by its support of anywidget."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from credentials import credentials
from panel_page import PanelPage
from playwright.sync_api import BrowserContext
from private_home import private_environment

from aeron_magic.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NOTEBOOK = """
import marimo

app = marimo.App()

@app.cell
def _():
    import marimo as mo
    from aeron_magic import ChatPanel, Client, ask_many

    client = Client()
    return ChatPanel, ask_many, client, mo

@app.cell
def _(ask_many, client, mo):
    mo.md(f"{len(ask_many(['One', 'Two'], client=client))} rows")
    return

@app.cell
def _(client):
    client.ask("Hello")
    return

@app.cell
def _(ChatPanel, client, mo):
    mo.ui.anywidget(ChatPanel(client))
    return
"""


def wait_for_server(address: str) -> None:
    """Wait until it accepts connections: marimo prints its address before."""
    url = urlsplit(address)
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((url.hostname or "", url.port or 80), 1).close()
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_reply_of_a_cell_and_the_panel(
    context: BrowserContext, sandbox: Sandbox, screenshots: Path, tmp_path: Path
) -> None:
    """A page of marimo shows the reply as Markdown, and a question in the panel is answered."""
    (tmp_path / "notebook.py").write_text(NOTEBOOK, encoding="utf-8")
    sandbox.set_faults(say="Some **bold** text.", pause=0.01, chunk_size=4)
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "marimo", "-y", "run", "notebook.py", "--headless"),
            *("--host", "127.0.0.1", "--port", "0"),
        ],
        cwd=tmp_path,
        env={**private_environment(tmp_path), **credentials(sandbox.aeronpay_url)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    page = context.new_page()
    try:
        assert server.stdout is not None
        address = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)))
        wait_for_server(address[0])
        page.goto(address[0])
        page.locator("strong", has_text="bold").first.wait_for()
        page.get_by_text("2 rows").wait_for()
        panel = PanelPage(page)
        panel.wait_ready()
        panel.ask("How are you?")
        assert panel.questions() == ["How are you?"]
        assert panel.reply().strip() == "Some bold text."
        page.screenshot(path=screenshots / "panel-marimo.png")
    finally:
        page.close()
        server.terminate()
        server.communicate(timeout=20)
