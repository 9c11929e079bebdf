"""The chat panel with hostile text, dark theme, keyboard and assistive technology."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from credentials import connecting
from line_breaks import BROKEN, OPTIONS, WIDE
from notebook_page import NotebookPage
from panel_page import PanelPage

from aeron_magic.sandbox import Refusal, Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

RICH = """## A heading

Some *emphasis*, `code`, a [link](https://example.org) and math: $e^{i\\pi} + 1 = 0$.

| name | value |
|---|---:|
| one | 1 |
| two | 2 |

```python
def double(x: int) -> int:
    # a comment
    return 2 * x + len("text")
```

> A quotation.

1. first
2. second

$$\\int_0^1 x^2 \\, dx = \\tfrac13$$
"""


def test_hostile_text_does_nothing(
    lab: NotebookPage, sandbox: Sandbox, other_server: tuple[str, list[str]]
) -> None:
    """Nothing in a reply or question runs or loads; an image loads when its button is clicked."""
    address, asked = other_server
    hostile = (
        "<script>window.stolen = 1</script><img src=x onerror='window.stolen = 2'>\n\n"
        f"![cat]({address}/cat.svg?secret=1)\n\n"
        f"[click](javascript:window.stolen=3) <form action='{address}/form'><button>go</button>"
        "</form>\n\n"
        f"<div style='position:fixed;inset:0;background:url({address}/css)'>over</div>\n\n"
        f"<iframe src='{address}/frame'></iframe> <svg onload='window.stolen=4'></svg>\n\n"
        "$\\href{javascript:window.stolen=5}{x}$ <a data-commandlinker-command='x'>y</a>\n\n"
        "```html\n<script>window.stolen = 6</script>\n```\n"
    )
    sandbox.set_faults(say=hostile, chunk_size=3)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("<img src=x onerror='window.stolen = 7'>" + hostile)
    body = panel.turns.first
    assert lab.page.evaluate("window.stolen") is None
    assert (
        body.locator("script, img, iframe, form, svg[onload], [style*=fixed], object").count() == 0
    )
    hrefs = body.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert all(href.startswith("http") for href in hrefs)
    assert asked == []
    host = address.removeprefix("http://")
    button = panel.root.get_by_role("button", name=f"Load image from {host}")
    button.click()
    body.locator("img").wait_for()
    lab.page.wait_for_function("document.querySelector('.ap-picture').complete")
    assert asked == ["/cat.svg?secret=1"]


def test_rich_text_in_both_themes(lab: NotebookPage, sandbox: Sandbox, screenshots: Path) -> None:
    """Tables, code and math are shown, and axe finds nothing serious, light and dark."""
    sandbox.set_faults(say=RICH, chunk_size=4)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Show me all that you can")
    panel.root.locator("mjx-container").nth(1).wait_for()
    assert panel.root.locator("td").all_inner_texts() == ["one", "1", "two", "2"]
    panel.click("Time and token", panel.turns.first)
    sandbox.set_faults(refuse=(Refusal("create-response", 400, message="No such luck."),))
    panel.ask("And now?", wait=False)
    panel.wait_text("No such luck.")
    panel.wait_ready()
    lab.page.mouse.move(0, 0)
    tools = panel.turns.first.locator(".ap-reply > .ap-tools")
    assert tools.evaluate("tools => getComputedStyle(tools).opacity") == "1", (
        "it closes the details"
    )
    colours = []
    try:
        for theme in ("JupyterLab Light", "JupyterLab Dark"):
            lab.theme(theme)
            lab.page.wait_for_timeout(300)  # colours change gradually
            colours.append(panel.evaluate("root => getComputedStyle(root).backgroundColor"))
            panel.root.locator(".ap-log").evaluate("log => { log.scrollTop = 0; }")
            lab.screenshot(screenshots / f"panel-{theme.split()[-1].lower()}.png", 1)
            _assert_accessible(panel)
    finally:
        lab.theme("JupyterLab Light")
    assert colours[0] != colours[1]


def test_long_formulas_tables_and_code_are_scrolled_in_a_narrow_panel(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """Each by itself, and nothing is wider than the conversation."""
    terms = " + ".join(f"a_{{{n}}}" for n in range(40))
    sandbox.set_faults(say=f"{RICH}\nInline ${terms}$ too.\n\n- point $x$\n\n$${terms}$$\n")
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Show me all that you can")
    panel.evaluate("root => { root.style.width = '300px'; }")
    panel.root.locator("mjx-container").nth(4).wait_for()
    hidden = panel.evaluate("""root => {
        const edge = root.querySelector('.ap-column').getBoundingClientRect().right;
        const wide = [...root.querySelectorAll('.ap-body *')]
            .filter(one => one.getBoundingClientRect().right > edge);
        const scrolls = one => {
            const { overflowX } = getComputedStyle(one);
            return overflowX === 'auto' && one.scrollWidth > one.clientWidth
                && one.getBoundingClientRect().right <= edge;
        };
        const isScrolled = one => {
            for (; one; one = one.parentElement) if (scrolls(one)) return true;
            return false;
        };
        return [wide.length > 2, wide.filter(one => !isScrolled(one)).map(one => one.tagName)];
    }""")
    assert hidden == [True, []]
    marker = "root => getComputedStyle(root.querySelector('.ap-body ul > li')).overflowX"
    assert panel.evaluate(marker) == "visible", "its marker would be hidden"
    assert panel.root.get_by_role("region", name="formula").last.get_attribute("tabindex") == "0"


MOVED = "\n\n".join(f"{'x' * n} {OPTIONS}" for n in range(1, 60))
"""Code that begins at many places of a line."""

LONG_CODE = f"Long `{'--part-of' * 30}` and `{'C:-' + 'y' * 30}`.\n\n- in `{'a-' * 150}`"


@pytest.mark.parametrize("width", [300, 500, 0])
def test_inline_code_is_not_broken_after_hyphens(
    lab: NotebookPage, sandbox: Sandbox, width: int
) -> None:
    """It is whole where it fits on a line, and longer code is not wider than the text."""
    sandbox.set_faults(say=f"{MOVED}\n\n| a | b |\n|---|---|\n| {OPTIONS} | {'word ' * 60}|\n")
    lab.open(connecting(sandbox), "%aeron ask Options?", "%aeron panel")
    lab.run_all()
    panel = PanelPage.in_notebook(lab)
    cell = lab.page.locator(".jp-RenderedHTML:has(table)").first
    cell.locator("table").wait_for()
    for shown in (panel.turns.first.locator(".ap-body"), cell):
        if width:
            shown.evaluate("(root, width) => { root.style.width = `${width}px`; }", width)
        assert shown.locator("code").count() > 200
        assert shown.evaluate(BROKEN) == []
    sandbox.set_faults(say=LONG_CODE)
    lab.run(1)
    panel.wait_text("part-of")
    panel.wait_ready()
    cell = lab.page.locator(".jp-RenderedHTML", has_text="part-of").first
    for shown in (panel.turns.last.locator(".ap-body"), cell):
        if width:
            shown.evaluate("(root, width) => { root.style.width = `${width}px`; }", width)
        assert shown.locator("code").count() == 3
        assert shown.evaluate(WIDE) == 0


def _assert_accessible(panel: PanelPage) -> None:
    found = Axe().run(panel.page, context=".aeron-panel").response["violations"]
    serious = [
        (one["id"], [(node["target"], node.get("failureSummary")) for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_keyboard_only(lab: NotebookPage, sandbox: Sandbox) -> None:
    """Everything can be reached without a mouse, and focus is never lost."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.input.focus()
    keys = lab.page.keyboard
    keys.type("How do I continue a conversation?")
    keys.press("Enter")
    panel.turns.first.wait_for()
    panel.wait_ready()
    focused = """() => document.activeElement.getAttribute('aria-label')
        ?? document.activeElement.innerText"""
    assert lab.page.evaluate(focused) == "Your question"
    seen = set()
    for _ in range(40):
        keys.press("Shift+Tab")
        name = lab.page.evaluate(focused)
        seen.add(name)
        if name == "Export":
            break
    wanted = {"Time and token", "Ask again, as a branch", "Copy the reply as Markdown"}
    wanted |= {
        "Conversation",
        "Edit and ask as a branch",
        "Copy the question",
        "New chat",
        "Export",
    }
    assert wanted <= seen
    keys.press("Enter")
    keys.press("Tab")
    assert lab.page.evaluate(focused).split() == ["Web", "page", ".html"]
    keys.press("Escape")
    assert lab.page.evaluate(focused) == "Export"
    grip = panel.root.get_by_role("separator")
    before = panel.evaluate("root => root.getBoundingClientRect().height")
    grip.focus()
    keys.press("ArrowUp")
    assert panel.evaluate("root => root.getBoundingClientRect().height") < before
    sandbox.set_faults(say="word " * 2_000, pause=0.01)
    panel.input.focus()
    keys.type("Tell me")
    keys.press("Enter")
    panel.wait_text("word word")
    keys.press("Escape")
    panel.wait_ready()
    assert panel.root.get_by_role("status").inner_text() == "Stopped."
    assert lab.page.evaluate(focused) == "Your question"
