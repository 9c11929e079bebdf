"""The panel beside the notebook, in JupyterLab's main area."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from credentials import connecting
from notebook_page import NotebookPage, notebook_of
from panel_page import PanelPage
from playwright.sync_api import expect

from aeron_magic.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HEIGHTS = """root => {
    const dock = root.closest('.jupyterlab-sidecar').getBoundingClientRect();
    const box = root.getBoundingClientRect();
    const input = root.querySelector('.ap-input').getBoundingClientRect();
    return [box.height, dock.height, dock.bottom - input.bottom, box.width, dock.width];
}"""


BACK = """() => {
    const { shell } = jupyterapp;
    shell.activateById([...shell.widgets('main')].find(one => one.context).id);
}"""


CUT_OFF = """root => {
    const box = root.getBoundingClientRect();
    const log = root.querySelector('.ap-log').getBoundingClientRect();
    const cut = [];
    for (const one of root.querySelectorAll('header *, .ap-empty-title, .ap-keys')) {
        const { left, right, top, width } = one.getBoundingClientRect();
        if (!width || one.closest('svg, option, .ap-choices')) continue;
        const name = `${one.tagName} ${one.className}`;
        if (left < box.left || right > box.right + 0.5) cut.push(`${name} is outside`);
        if (one.matches('.ap-empty-title') && top < log.top) cut.push(`${name} is above`);
        if (one.matches('.ap-tool') && width < 28) cut.push(`${name} is narrow`);
        if (!one.matches('select') && one.scrollWidth > one.clientWidth && one.clientWidth)
            cut.push(`${name} is cut off`);
    }
    return cut;
}"""
"""What of the header and of the title is not wholly visible."""


def filled(panel: PanelPage) -> None:
    """Assert that the panel fills its place, and its input is at the lower end."""
    height, whole, below, width, whole_width = panel.evaluate(HEIGHTS)
    assert abs(height - whole) < 4
    assert height > 500
    assert abs(width - whole_width) < 4
    assert 0 < below < 90


def test_the_panel_is_docked_at_full_height_and_survives_a_reload(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path
) -> None:
    """Also in the middle of a reply; the cell shows the transcript."""
    sandbox.set_faults(say="A sentence of the reply. " * 30)
    lab.open(connecting(sandbox), "%aeron panel --side")
    lab.run_all()
    panel = PanelPage.in_notebook(lab)
    filled(panel)
    lab.page.get_by_role("tab", name=re.compile(r"^Chat: \S+\.ipynb$")).wait_for()
    panel.ask("Tell me")
    lab.screenshot(screenshots / "panel-side.png")
    panel.input.press("Control+s")
    lab.page.evaluate(BACK)
    lab.page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")
    sandbox.set_faults(say="".join(f"word{n} " for n in range(300)), pause=0.02)
    panel.ask("More", wait=False)
    panel.wait_text("word20 ")
    panel.input.fill("A draft")
    lab.page.wait_for_timeout(500)
    lab.visit()
    panel = PanelPage(lab.page)
    panel.wait_text("word60 ")
    filled(panel)
    assert panel.questions() == ["Tell me", "More"]
    panel.wait_ready()
    assert "word299" in panel.reply()
    assert panel.input.input_value() == "A draft"
    lab.screenshot(screenshots / "panel-side-reloaded.png")
    lab.page.evaluate(BACK)
    lab.wait_shown(1, "Transcript: ")


@pytest.mark.parametrize("after", ["", "reload", "restart"])
def test_the_next_docked_panel_replaces_the_docked_panel(
    lab: NotebookPage, sandbox: Sandbox, after: str
) -> None:
    """Also one of a kernel that has ended, which only the page can close."""
    lab.open(connecting(sandbox), "%aeron panel --side", "%aeron panel --side")
    lab.run(0)
    lab.run(1)
    panel = PanelPage.in_notebook(lab)
    panel.ask("One")
    width = panel.evaluate("root => root.getBoundingClientRect().width")
    lab.page.evaluate(BACK)
    if after == "reload":
        lab.save()
        lab.visit()
        PanelPage.in_notebook(lab)
        lab.page.evaluate(BACK)
    elif after == "restart":
        lab.page.evaluate(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        panel.wait_state("silent")
        lab.run(0)
    lab.run(2)
    lab.page.wait_for_function(
        "() => document.querySelectorAll('.aeron-panel[data-state=ready]').length === 1"
    )
    lab.page.wait_for_function("() => document.querySelectorAll('.aeron-panel').length === 1")
    panel = PanelPage.in_notebook(lab)
    filled(panel)
    assert abs(panel.evaluate("root => root.getBoundingClientRect().width") - width) < 20
    assert panel.questions() == ([] if after == "restart" else ["One"])
    panel.input.press("Control+s")
    panel.input.press("Escape")
    assert "jp-Notebook" in str(lab.page.evaluate("() => document.activeElement.className"))


NOTEBOOK = "[...jupyterapp.shell.widgets('main')].find(one => one.context?.path === path)"


SCROLL = f"""async ([path, windowing, at]) => {{
    const {{ content }} = {NOTEBOOK};
    content.notebookConfig = {{ ...content.notebookConfig, windowingMode: windowing }};
    content.activeCellIndex = at;
    await content.scrollToItem(at);
    await content.scrollToItem(0);
}}"""


SOURCES = f"path => {NOTEBOOK}.content.widgets.map(one => one.model.sharedModel.source)"


@pytest.mark.parametrize("windowing", ["contentVisibility", "full"])
def test_a_new_cell_is_below_the_active_one_and_in_sight(
    lab: NotebookPage, sandbox: Sandbox, windowing: str
) -> None:
    """The focus stays; another notebook on the page is left alone, and is not asked."""
    sandbox.set_faults(say="```python\nfirst\n```\n\n```python\nsecond\n```")
    lab.open("0", name="the last.ipynb")
    other = lab.page.evaluate("() => jupyterapp.shell.currentWidget.id")
    rest = [f"{n}\n" + "#\n" * 15 for n in range(2, 40)]
    lab.site.write("last.ipynb", notebook_of(connecting(sandbox), "%aeron panel --side", *rest))
    lab.command("docmanager:open", path="last.ipynb", options={"mode": "split-right", "ref": other})
    lab.page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
    )
    lab.run(0)
    lab.run(1)
    panel = PanelPage.in_notebook(lab)
    panel.ask("Code?")
    lab.page.evaluate(SCROLL, ["last.ipynb", windowing, 20])
    buttons = panel.root.get_by_role("button", name="Insert as a new cell")
    for index in range(2):
        buttons.nth(index).click()
    cell = lab.page.locator('.jp-Cell[data-windowed-list-index="22"]', has_text="second")
    expect(cell).to_be_in_viewport(ratio=0.9)  # a browser rounds
    assert buttons.nth(1).evaluate("one => one === document.activeElement")
    sources = lab.page.evaluate(SOURCES, "last.ipynb")
    assert sources[20:24] == [rest[18], "first", "second", rest[19]]
    assert lab.page.evaluate(SOURCES, "the last.ipynb") == ["0"]


def test_nothing_is_cut_off_in_a_narrow_panel(lab: NotebookPage, screenshots: Path) -> None:
    """Header, title and what to do when the kernel has ended, from 230 to 700 pixels."""

    def check(state: str) -> None:
        for theme in ("JupyterLab Light", "JupyterLab Dark"):
            lab.theme(theme)
            for width in (230, 260, 300, 400, 500, 700):
                panel.root.evaluate(
                    "(root, width) => Object.assign(root.style, { width, height: '520px' })",
                    f"{width}px",
                )
                lab.page.wait_for_timeout(60)  # until the panel has been laid out
                assert panel.evaluate(CUT_OFF) == [], (state, width)
                name = f"panel-{state}-{width}-{theme.split()[-1].lower()}.png"
                panel.root.screenshot(path=screenshots / name)

    lab.open(
        "%load_ext aeron_magic\n%aeron connect sandbox",
        "%aeron panel --side",
        "%aeron use a-long-name-of-a-conversation",
    )
    lab.run(0)
    lab.run(1)
    panel = PanelPage.in_notebook(lab)
    try:
        check("one")
        panel.ask("How do I continue a conversation?")
        lab.page.evaluate(BACK)
        lab.run(2)
        panel.turns.first.wait_for(state="detached")
        check("two")
        lab.page.evaluate(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        panel.wait_state("silent")
        check("ended")
        help_ = panel.root.get_by_text("Run the cell with %load_ext again, then the panel's cell.")
        assert help_.is_visible()
        panel.evaluate("root => { root.style.width = '230px'; }")
        assert help_.is_visible()
        assert panel.root.get_by_role("button", name="New chat").is_disabled()
    finally:
        lab.theme("JupyterLab Light")
