"""What keeps a page busy: the CPU time of its longest tasks, which others on the machine share not.

A task is what a browser does without a pause; what takes longer than 50 ms is felt. Chromium's
own trace has the CPU time of each, where the page's ``longtask`` entries know the clock alone.
Playwright's locators search the page by tasks of their own, and in a long page these are longer
than what is measured: ask by ``evaluate`` and ``wait_for_function`` meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page

__all__ = ["begin", "longest_tasks"]

PREFIX = "part: "


def begin(page: Page, part: str) -> None:
    """Say that another part of the work begins now."""
    page.evaluate("name => { performance.mark(name); }", PREFIX + part)


def longest_tasks(page: Page, work: Callable[[], object]) -> dict[str, float]:
    """Do ``work``, and return the milliseconds of CPU of the longest task in each part of it.

    A part goes from a :func:`begin`, or from a mark that the page sets itself, to the next one.
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
