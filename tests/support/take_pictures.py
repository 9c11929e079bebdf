"""Take the README's pictures from a real JupyterLab.

Run it as ``python tests/support/take_pictures.py``. It needs what the browser tests need
(``python3 tests/run.py`` sets that up).
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nbformat
from find_browser import FLAGS, find_browser
from jupyter_site import Site, running_site
from notebook_page import NotebookPage, Theme, without_outputs
from panel_page import PanelPage
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "notebooks" / "images"
WIDTH, HEIGHT = 1000, 766
FRAME = 0.2
"""Seconds between two pictures of the film."""
LAST_FRAME = 3.0


def quickstart(page: Page, site: Site) -> None:
    """Two questions of the quickstart and their answers."""
    opened = NotebookPage(page, site)
    notebook = without_outputs(
        nbformat.read(ROOT / "notebooks" / "01-quickstart.ipynb", as_version=4)
    )
    opened.open(notebook, name="01-quickstart.ipynb")
    opened.command("application:toggle-left-area")
    opened.run_all()
    opened.save()
    first = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("%%aeron"))
    opened.scroll_to(first)
    page.mouse.move(0, 0)
    # Without the status bar.
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT - 26}
    page.screenshot(path=IMAGES / "quickstart.png", clip=clip)


def panel(page: Page, site: Site) -> None:
    """The chat panel after one question from a cell and one from the panel, light and dark."""
    opened = NotebookPage(page, site)
    notebook = nbformat.read(ROOT / "notebooks" / "03-chat-panel.ipynb", as_version=4)
    opened.open(without_outputs(notebook), name="03-chat-panel.ipynb")
    opened.command("application:toggle-left-area")
    opened.run_all()
    chat = PanelPage.in_notebook(opened)
    chat.ask("How do I put a value into my question?")
    chat.ask("And in Python?")
    chat.ask("Say it in one sentence.")
    opened.save()
    themes: tuple[tuple[Theme, str], ...] = (
        ("JupyterLab Dark", "dark"),
        ("JupyterLab Light", "light"),
    )
    for theme, name in themes:
        opened.theme(theme)
        chat.input.click()
        page.wait_for_timeout(400)  # colours change gradually
        chat.root.screenshot(path=IMAGES / f"panel-{name}.png")


def film(page: Page, site: Site) -> None:
    """Two questions in cells and one in the docked panel, as a film."""
    opened = NotebookPage(page, site)
    opened.open(
        "%load_ext aeron_magic\n%aeron connect sandbox",
        "%aeron panel --side",
        "%%aeron -o answer\nHow do I continue a conversation?",
        "%%aeron\nShow me an example.",
        name="conversation.ipynb",
    )
    opened.command("application:toggle-left-area")
    for cell in (0, 1):
        opened.run(cell)
    chat = PanelPage(page)
    frames: list[Image.Image] = []

    def has_run(cell: int) -> bool:
        return opened.prompt(cell) is not None

    def record(done: Callable[[], bool]) -> None:
        while True:
            began = time.monotonic()
            frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
            if done():
                return
            page.wait_for_timeout(max(1.0, 1000 * (FRAME - time.monotonic() + began)))

    for cell in (2, 3):
        opened.start(cell)
        record(partial(has_run, cell))
    chat.ask("How do I record a notebook?", wait=False)
    record(lambda: chat.root.get_attribute("data-state") == "ready" and chat.turns.count() == 3)
    record(lambda: True)  # as it stays
    palette = frames[-1].quantize(colors=96)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    pauses = [round(1000 * FRAME)] * (len(small) - 1) + [round(1000 * LAST_FRAME)]
    small[0].save(
        IMAGES / "conversation.gif", save_all=True, append_images=small[1:], duration=pauses, loop=0
    )


def main() -> None:
    """Take all pictures."""
    with (
        tempfile.TemporaryDirectory() as home,
        running_site(Path(home)) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1.5
        )
        quickstart(context.new_page(), site)
        panel(context.new_page(), site)
        narrow = {"width": 1000, "height": 560}
        film(browser.new_context(viewport=narrow, device_scale_factor=1).new_page(), site)
        browser.close()


if __name__ == "__main__":
    main()
