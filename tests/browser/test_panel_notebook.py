"""The panel and the notebook around it: keys, focus, inserted cells, and a restarted kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from notebook_page import NotebookPage
from panel_page import PanelPage

from aeron_magic.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

DIRTY = "() => jupyterapp.shell.currentWidget.context.model.dirty"
MODE = "() => jupyterapp.shell.currentWidget.content.mode"
FOCUSED = "() => document.activeElement.className + document.activeElement.ariaLabel"
SOURCES = """() => [...jupyterapp.shell.currentWidget.content.model.cells].map(
    one => one.sharedModel.source)"""
RESTART = "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_keys_and_focus(lab: NotebookPage, sandbox: Sandbox, frontend: str) -> None:
    """Ctrl+S saves, Esc goes back to the cell, New chat puts the cursor into the input."""
    sandbox.set_faults(say="Fine.")
    panel = PanelPage.in_new_notebook(lab, sandbox, frontend=frontend)  # type: ignore[arg-type]
    panel.ask("One")
    panel.input.click()
    panel.input.press_sequentially("A draft")
    assert lab.page.evaluate(DIRTY)
    panel.input.press("Control+s")
    lab.page.wait_for_function(f"() => !({DIRTY})()")
    assert panel.input.input_value() == "A draft"
    panel.input.press("Escape")
    assert "jp-" in str(lab.page.evaluate(FOCUSED))
    assert lab.page.evaluate(MODE) == "command"
    assert panel.input.input_value() == "A draft"
    panel.click("New chat")
    panel.turns.first.wait_for(state="detached")
    assert "Your question" in str(lab.page.evaluate(FOCUSED))


COMPOSE = """(area, key) => area.dispatchEvent(new KeyboardEvent(
    'keydown', { key, keyCode: 229, bubbles: true, cancelable: true }))"""


def test_the_keys_of_an_input_method_are_its_own(lab: NotebookPage, sandbox: Sandbox) -> None:
    """Its Enter does not send, and its Esc does not close; also in the edit box."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("One")
    panel.turns.first.hover()
    panel.click("Edit and ask as a branch")
    area = panel.root.get_by_label("Edit the question")
    for place in (panel.input, area):
        place.fill("にほんご")
        for key in ("Enter", "Escape"):
            place.evaluate(COMPOSE, key)
    assert area.input_value() == "にほんご"
    assert panel.input.input_value() == "にほんご"
    assert len(sandbox.log.of("create-response")) == 1


PRESS = """button => {
    const { top } = button.closest('.ap-turn').getBoundingClientRect();
    button.click();
    return top;
}"""


def test_the_previous_branch_keeps_the_place(lab: NotebookPage, sandbox: Sandbox) -> None:
    sandbox.set_faults(say="A paragraph.\n\n" * 12)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    for text in ("One", "Two"):
        panel.ask(text)
    panel.turns.last.hover()
    panel.click("Ask again, as a branch", panel.turns.last)
    panel.wait_ready()
    panel.ask("Three")
    panel.ask("Four")
    second = panel.turns.nth(1)
    second.scroll_into_view_if_needed()
    for name, left in (("Previous branch", 2), ("Next branch", 4), ("Previous branch", 2)):
        button = second.get_by_role("button", name=name)
        button.scroll_into_view_if_needed()
        before = button.evaluate(PRESS)
        lab.page.wait_for_function(
            "count => document.querySelectorAll('.ap-turns > .ap-turn').length === count", arg=left
        )
        # The page corrects its position for a few frames, while the turns above get their heights.
        lab.page.wait_for_function(
            "([before, turn]) => Math.abs(before - turn.getBoundingClientRect().top) < 2",
            arg=[before, second.element_handle()],
            timeout=3_000,
        )
        assert "branch" in str(lab.page.evaluate(FOCUSED))


def test_inserted_cells_come_in_order(lab: NotebookPage, sandbox: Sandbox) -> None:
    sandbox.set_faults(say="Fine.")
    panel = PanelPage.in_new_notebook(lab, sandbox)
    for text in ("One", "Two", "Three"):
        panel.ask(text)
        panel.turns.last.hover()
        panel.click("Insert the question as a new cell", panel.turns.last)
    assert lab.page.evaluate(SOURCES)[2:] == [
        f"%%aeron\n{text}" for text in ("One", "Two", "Three")
    ]


def test_a_code_block_becomes_a_cell_that_can_run(lab: NotebookPage, sandbox: Sandbox) -> None:
    """A shell script gets ``%%bash``; what neither Python nor a shell runs is a raw cell."""
    blocks = ("\nx", "python\ny", "sh\n$ ls a\nls b", "text\n%aeron tree", "sql\nSELECT 1")
    blocks += (
        "py\n>>> x\n1\n>>> if x:\n...     y",
        "console\n(v) $ a \\\n> b\nc",
        "sh\ncat <<E\n$ x\nE",
    )
    sandbox.set_faults(say="\n\n".join(f"```{block}\n```" for block in blocks))
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Code?")
    buttons = panel.root.get_by_role("button", name="Insert as a new cell")
    for index in range(len(blocks)):
        buttons.nth(index).click()
    cells = lab.save().cells[2:]
    assert [(one.cell_type, one.source) for one in cells] == [
        ("code", "x"),
        ("code", "y"),
        ("code", "%%bash\nls a\nls b"),
        ("code", "%aeron tree"),
        ("raw", "SELECT 1"),
        ("code", "x\nif x:\n    y"),
        ("code", "%%bash\na \\\nb"),
        ("code", "%%bash\ncat <<E\n$ x\nE"),
    ]


def test_a_kernel_that_another_page_restarts(
    lab: NotebookPage, sandbox: Sandbox, new_page: Callable[[], NotebookPage]
) -> None:
    """It is said when the new kernel is heard, during a reply, too; a queued question is kept."""
    sandbox.set_faults(say="word " * 3_000, pause=0.05)
    PanelPage.in_new_notebook(lab, sandbox)
    lab.save()
    again = new_page()
    again.name = lab.name
    again.visit()
    panel = PanelPage.in_notebook(again)
    panel.ask("One", wait=False)
    panel.wait_text("word word")
    panel.input.fill("Two")
    panel.input.press("Enter")
    lab.page.bring_to_front()
    lab.page.evaluate(RESTART)
    lab.run(0)
    again.page.bring_to_front()
    panel.wait_state("silent")
    assert "restarted" in panel.root.locator(".ap-label").inner_text()
    assert panel.input.input_value() == "Two"


def test_a_restarted_kernel(lab: NotebookPage, sandbox: Sandbox, screenshots: Path) -> None:
    """It is said at once; the cell run again keeps the draft and offers to resume."""
    sandbox.set_faults(say="Fine.")
    panel = PanelPage.in_new_notebook(lab, sandbox)
    for text in ("One", "Two"):
        panel.ask(text)
    panel.input.fill("A draft")
    lab.page.evaluate(RESTART)
    panel.wait_state("silent")
    assert "restarted" in panel.root.locator(".ap-label").inner_text()
    panel.root.get_by_text("Run the cell with %load_ext again").wait_for()
    assert panel.root.locator(".ap-dot").get_attribute("data-connected") == "false"
    lab.screenshot(screenshots / "panel-restarted.png")
    lab.run_all()
    panel = PanelPage.in_notebook(lab)
    assert panel.input.input_value() == "A draft"
    lab.screenshot(screenshots / "panel-resume.png")
    panel.root.get_by_text("Stored conversation: main").wait_for()
    panel.click("Resume (2 turns)")
    panel.turns.nth(1).wait_for()
    assert panel.questions() == ["One", "Two"]
    panel.input.press("Enter")
    panel.turns.nth(2).wait_for()
    panel.wait_ready()
    assert panel.questions() == ["One", "Two", "A draft"]
    assert sandbox.log.of("create-response")[-1].body["context_token"]


def test_turns_of_a_sandbox_that_has_ended_can_be_read(
    lab: NotebookPage, screenshots: Path
) -> None:
    """And not asked again; the next question starts the conversation again."""
    lab.open("%load_ext aeron_magic", "%aeron connect sandbox", "%aeron panel")
    lab.run_all()
    panel = PanelPage.in_notebook(lab)
    panel.ask("What is a turn?")
    lab.page.evaluate(RESTART)
    panel.wait_state("silent")
    for cell in range(3):
        lab.run(cell)
    panel = PanelPage.in_notebook(lab)
    panel.click("Read (1 turn)")
    panel.turns.first.wait_for()
    assert panel.questions() == ["What is a turn?"]
    panel.turns.first.get_by_text("can only be read").wait_for()
    assert panel.root.get_by_role("button", name="Edit and ask as a branch").count() == 0
    assert panel.root.get_by_role("button", name="Ask again, as a branch").count() == 0
    lab.screenshot(screenshots / "panel-read-only.png")
    lab.run(1)
    panel.ask("And a branch?")
    assert panel.questions() == ["And a branch?"]


@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_a_conversation_is_resumed_below_a_greeting_and_while_a_reply_is_fetched(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path, service: str
) -> None:
    """The panel says that it fetches, and asks nothing meanwhile."""
    panel = PanelPage.in_new_notebook(lab, sandbox, service)
    panel.ask("One")
    if service == "aeronpay":
        sandbox.set_faults(say="word " * 100, pause=0.1)
        panel.ask("Two", wait=False)
        panel.wait_text("word word")
    lab.page.evaluate(RESTART)
    panel.wait_state("silent")
    assert panel.root.locator(".ap-idle:enabled").count() == 0
    sandbox.set_faults(say="Fine.", pause=0, latency=4 if service == "aeronpay" else 0)
    for cell in range(2):
        lab.run(cell)
    panel = PanelPage.in_notebook(lab)
    panel.root.get_by_text("Stored conversation: main").wait_for()
    if service == "chatzy":
        panel.root.locator(".ap-chip").first.wait_for()
    lab.screenshot(screenshots / f"panel-offer-{service}.png", 1)
    panel.root.get_by_role("button", name="Resume").click()
    if service == "aeronpay":
        panel.root.get_by_text("Fetching the replies that were under way …").wait_for()
        panel.root.get_by_text("One", exact=True).wait_for()
        assert panel.root.get_by_text("Fetching the replies").is_visible()
        panel.input.fill("Three")
        panel.input.press("Enter")
        panel.root.get_by_role("group", name="Queued question").wait_for()
        lab.screenshot(screenshots / "panel-resuming.png", 1)
        panel.wait_text("Fine.")
        panel.wait_ready()
        assert panel.questions() == ["One", "Two", "Three"]
        assert panel.root.get_by_text("Fetching the replies").count() == 0
    else:
        panel.turns.first.wait_for()
        assert panel.questions() == ["One"]


@pytest.mark.parametrize("edited", [0, 1])
def test_the_branches_of_a_sandbox_that_has_ended_can_be_read(
    lab: NotebookPage, edited: int
) -> None:
    """At the first turn and at a later one, and the saved transcript follows."""
    lab.open("%load_ext aeron_magic", "%aeron connect sandbox", "%aeron panel")
    lab.run_all()
    panel = PanelPage.in_notebook(lab)
    before = ["What is a turn?", "What is a token?"]
    for text in before:
        panel.ask(text)
    turn = panel.turns.nth(edited)
    turn.hover()
    panel.click("Edit and ask as a branch", turn)
    panel.root.get_by_label("Edit the question").fill("What is a branch?")
    panel.click("Ask as a branch")
    after = [*before[:edited], "What is a branch?"]
    panel.turns.nth(edited).get_by_text("What is a branch?", exact=True).wait_for()
    panel.wait_ready()
    lab.page.evaluate(RESTART)
    panel.wait_state("silent")
    for cell in range(3):
        lab.run(cell)
    panel = PanelPage.in_notebook(lab)
    panel.click("Read (3 turns)")
    place = panel.turns.nth(edited).get_by_role("group", name="Branch")
    place.get_by_text("2/2").wait_for()
    for name, at, shown, title in (
        ("Previous branch", "1/2", before, "Transcript: turns 1 to 2"),
        ("Next branch", "2/2", after, f"Transcript: turn{'s 1,' * edited} 3"),
        ("Previous branch", "1/2", before, "Transcript: turns 1 to 2"),
    ):
        panel.click(name)
        place.get_by_text(at).wait_for()
        assert panel.questions() == shown
        panel.turns.last.get_by_text("can only be read").wait_for()
        assert panel.root.get_by_text("can only be read").count() == 1
        assert panel.root.get_by_role("button", name="Edit and ask as a branch").count() == 0
        assert panel.root.get_by_role("button", name="Ask again, as a branch").count() == 0
        lab.wait_shown(2, title)
    panel.ask("And now?")
    assert panel.questions() == ["And now?"]
