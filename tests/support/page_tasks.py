"""The CPU time of a page's longest tasks, which does not depend on other load of the machine.

A task blocks the page; users notice more than 50 ms. Chromium's trace has the CPU time of each
task; the page's ``longtask`` entries have only the elapsed time. Playwright's locators run tasks
in the page that are longer than those measured if the page is long: use ``evaluate`` and
``wait_for_function`` instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page

__all__ = ["begin", "longest_tasks"]

PREFIX = "part: "


def begin(page: Page, part: str) -> None:
    """Mark the beginning of another part of the work."""
    page.evaluate("name => { performance.mark(name); }", PREFIX + part)


def longest_tasks(page: Page, work: Callable[[], object]) -> dict[str, float]:
    """Call ``work``; return the CPU milliseconds of the longest task in each part of it.

    A part extends from one mark (by :func:`begin` or the page itself) to the next.
    """
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=["toplevel", "blink.user_timing"])
    work()
    events = json.loads(browser.stop_tracing())["traceEvents"]
    marks = [event for event in events if event["name"].startswith(PREFIX)]
    main = (marks[0]["pid"], marks[0]["tid"])
    tasks = [
        event
        for event in events
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) == main
    ]
    longest: dict[str, float] = {}
    for task in tasks:
        begun = [mark for mark in marks if mark["ts"] <= task["ts"]]
        if begun:
            part = max(begun, key=lambda mark: mark["ts"])["name"].removeprefix(PREFIX)
            longest[part] = max(longest.get(part, 0.0), task.get("tdur", 0) / 1e3)
    return longest
