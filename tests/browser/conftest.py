"""A real Jupyter server and a real browser, started once in each test process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from find_browser import FLAGS, find_browser
from jupyter_site import Site, running_site
from notebook_page import NotebookPage
from playwright.sync_api import Browser, BrowserContext, sync_playwright

NewPage = Callable[[], NotebookPage]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium from PATH or of Playwright; without one, tests are skipped, or fail under CI."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = find_browser() or (own if Path(own).exists() else None)
        if path is None:
            message = "no Chromium on PATH, and Playwright has none (python tests/run.py)"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Jupyter server with JupyterLab and Notebook 7; not started if there is no browser."""
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="session")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """One browser profile for all tests, so that JupyterLab's files are loaded once."""
    made = chromium.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    made.set_default_timeout(40_000)
    yield made
    made.close()


@pytest.fixture(scope="session")
def _lab_page(context: BrowserContext, site: Site) -> NotebookPage:
    return NotebookPage(context.new_page(), site)


@pytest.fixture
def lab(_lab_page: NotebookPage, site: Site) -> Iterator[NotebookPage]:
    """The page that most tests share, in which a notebook can be opened.

    JupyterLab stays loaded from test to test; kernels are shut down.
    """
    _lab_page.forget()
    yield _lab_page
    site.close_sessions()


@pytest.fixture
def new_page(context: BrowserContext, site: Site) -> Iterator[NewPage]:
    """A function that opens another page; pages and kernels are closed after the test."""
    pages: list[NotebookPage] = []

    def make() -> NotebookPage:
        pages.append(NotebookPage(context.new_page(), site))
        return pages[-1]

    yield make
    for page in pages:
        page.page.close()
    site.close_sessions()


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path:
    """A folder for screenshots (``.pytest_cache/d/screenshots``)."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("screenshots")


@pytest.fixture
def other_server() -> Iterator[tuple[str, list[str]]]:
    """The address of another web server with pictures and ``.html`` pages, and its requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            is_page = self.path.endswith(".html")
            picture = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
            body = b"<!doctype html><body>A page</body>" if is_page else picture
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if is_page else "image/svg+xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()
