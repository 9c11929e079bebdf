"""Right-to-left text, and wide tables and code, in a cell and in the panel of a real page."""

from __future__ import annotations

from pathlib import Path

import pytest
from credentials import connecting
from notebook_page import NotebookPage
from panel_page import PanelPage
from playwright.sync_api import Locator

from aeron_magic.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

REPLY = f"""זוהי פסקה בעברית עם `code(1, 2)` ומספר 42.

An English paragraph. It ends with a full stop.

- פריט ראשון, עם English באמצע.
- פריט שני!

> هذا اقتباس باللغة العربية.

| الاسم | القيمة |
|---|---|
| واحد | $5 |
| English. | 7 |

```python
value = {"x" * 400!r}
```

| {" | ".join(f"column {n}" for n in range(30))} |
|{"---|" * 30}
| {" | ".join(f"value{n}" for n in range(30))} |
"""
STYLE = """(node) => {
  const style = getComputedStyle(node);
  const box = document.createRange();
  box.selectNodeContents(node);
  const [text, whole] = [box.getBoundingClientRect(), node.getBoundingClientRect()];
  return [style.direction, text.left - whole.left > whole.right - text.right + 1];
}"""


def direction(node: Locator) -> str:
    return str(node.evaluate(STYLE)[0])


def is_at_the_right(node: Locator) -> bool:
    return bool(node.evaluate(STYLE)[1])


def check(reply: Locator) -> None:
    """The directions and the scrolling of ``REPLY`` in a cell or in the panel."""
    hebrew, english = reply.locator("p").nth(0), reply.locator("p").nth(1)
    assert direction(hebrew) == "rtl"
    assert is_at_the_right(hebrew)
    assert direction(english) == "ltr"
    assert direction(reply.locator("ul")) == "rtl"
    assert direction(reply.locator("blockquote")) == "rtl"
    assert is_at_the_right(reply.locator("blockquote p"))
    assert direction(reply.locator("code").first) == "ltr"
    assert direction(reply.locator("pre")) == "ltr"
    table, wide = reply.locator("table").nth(0), reply.locator("table").nth(1)
    assert direction(table) == "rtl"
    assert is_at_the_right(table.locator("xpath=.."))
    assert direction(wide) == "ltr"
    first, second = (table.locator("th").nth(n).bounding_box() for n in range(2))
    assert first is not None
    assert second is not None
    assert first["x"] > second["x"]
    assert (
        table.locator("td").nth(0).evaluate("cell => getComputedStyle(cell).textAlign") == "start"
    )
    for frame in (wide.locator("xpath=.."), reply.locator("pre")):
        assert frame.evaluate("node => node.scrollWidth > node.clientWidth")
    assert reply.evaluate("node => node.scrollWidth <= node.clientWidth + 1")


def test_directions_and_wide_content(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path
) -> None:
    sandbox.set_faults(say=REPLY)
    lab.open(connecting(sandbox), "%%aeron\nשאלה", "%aeron panel")
    lab.run_all()
    lab.screenshot(screenshots / "directions-cell.png", 1)
    check(lab.page.locator(".jp-RenderedHTML").filter(has=lab.page.locator("blockquote")).first)
    panel = PanelPage.in_notebook(lab)
    panel.input.fill("ما هو الجواب؟")
    assert direction(panel.input) == "rtl"
    panel.ask("مرحبا، كيف الحال؟")
    lab.screenshot(screenshots / "directions-panel.png", 2)
    assert direction(panel.turns.last.locator(".ap-bubble")) == "rtl"
    check(panel.turns.last.locator(".ap-body"))
