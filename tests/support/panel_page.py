"""The chat panel in a browser, operated through its controls."""

from __future__ import annotations

from typing import Any, cast

from credentials import connecting
from notebook_page import Frontend, NotebookPage
from playwright.sync_api import Locator, Page

from aeron_magic.sandbox import Sandbox

__all__ = ["PanelPage"]


class PanelPage:
    """One view of a panel.

    Parameters
    ----------
    page
        The browser's page.
    index
        Which of the panels on the page, from 0.
    """

    def __init__(self, page: Page, index: int = 0) -> None:
        self.page = page
        self.root = page.locator(".aeron-panel").nth(index)
        self.input = self.root.get_by_label("Your question")
        self.turns = self.root.locator(".ap-turns > .ap-turn")

    @classmethod
    def in_new_notebook(
        cls,
        notebook: NotebookPage,
        sandbox: Sandbox,
        service: str = "aeronpay",
        frontend: Frontend = "lab",
    ) -> PanelPage:
        """The panel in a new notebook whose second cell shows it, connected to ``sandbox``."""
        notebook.open(connecting(sandbox, service), "%aeron panel", frontend=frontend)
        notebook.run_all()
        return cls.in_notebook(notebook)

    @classmethod
    def in_notebook(cls, notebook: NotebookPage, index: int = 0) -> PanelPage:
        """The panel of a notebook whose cells have run."""
        panel = cls(notebook.page, index)
        panel.wait_ready()
        return panel

    def wait_state(self, state: str) -> None:
        """Wait for a state: ``ready``, ``busy`` or ``silent``."""
        self.root.and_(self.page.locator(f"[data-state={state}]")).wait_for()

    def wait_ready(self) -> None:
        """Wait until no reply is running."""
        self.wait_state("ready")

    def ask(self, text: str, *, wait: bool = True) -> None:
        """Type a question and press Enter."""
        self.input.fill(text)
        self.input.press("Enter")
        if wait:
            self.turns.last.locator(".ap-body > *").first.wait_for(state="attached")
            self.wait_ready()

    def wait_text(self, text: str) -> None:
        """Wait until the conversation contains a text."""
        self.root.locator(".ap-log", has_text=text).wait_for()

    def click(self, name: str, within: Locator | None = None) -> None:
        """Press a button by its name."""
        (within or self.root).get_by_role("button", name=name, exact=True).first.click()

    def stop(self) -> None:
        """Press Stop."""
        self.click("Stop")

    def reply(self, index: int = -1) -> str:
        """The text of a reply, which may be scrolled out of view."""
        place = self.turns.last if index < 0 else self.turns.nth(index)
        return place.locator(".ap-body").text_content() or ""

    def questions(self) -> list[str]:
        """The questions shown, from the top."""
        return self.root.locator(".ap-turns .ap-bubble").all_text_contents()

    def evaluate(self, script: str) -> Any:
        """Evaluate a function of the panel's root element."""
        return cast(Any, self.root.evaluate(script))
