"""The chat panel with reloads, several views, long conversations and saved files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from credentials import connecting
from notebook_page import Frontend, NotebookPage, notebook_of
from page_tasks import begin, longest_tasks
from panel_page import PanelPage

from aeron_magic.jupyter.panel.turn_views import MAX_STEP
from aeron_magic.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03-chat-panel.ipynb"

LONG = "".join(f"Sentence number {n} of a reply that takes its time.\n\n" for n in range(300))

THOUSAND = """
from aeron_magic.jupyter.app import current_app
from aeron_magic.replies.reply import Reply
session = current_app(get_ipython()).session
tree = session.tree
text = "Some **words** and a list:\\n\\n- one\\n- two\\n\\n```python\\nx = 1\\n```\\n" * 3
for n in range(1000):
    pending = tree.start(tree.at_head(), f"Question {n}")
    tree.complete(pending, Reply(f"Answer {n}. " + text, context_token=context_token))
"""


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_reload_in_the_middle_of_a_reply(
    lab: NotebookPage, sandbox: Sandbox, frontend: Frontend
) -> None:
    """A reloaded page has all turns, the whole of the unfinished reply, and the draft."""
    panel = PanelPage.in_new_notebook(lab, sandbox, frontend=frontend)
    panel.ask("How do I continue a conversation?")
    lab.save()
    sandbox.set_faults(say=LONG[:9_000], pause=0.008)
    panel.ask("Tell me", wait=False)
    panel.wait_text("Sentence number 20 ")
    panel.input.fill("a thought of mine")
    lab.page.wait_for_timeout(600)  # the draft is sent when typing pauses
    lab.visit(frontend)
    panel = PanelPage(lab.page)
    panel.wait_state("busy")
    panel.wait_text("Sentence number 60 ")
    assert panel.reply().startswith("Sentence number 0 ")
    assert panel.input.input_value() == "a thought of mine"
    assert panel.questions() == ["How do I continue a conversation?", "Tell me"]
    panel.wait_ready()
    assert panel.reply().split() == LONG[:9_000].split()


@pytest.mark.parametrize("ends", ["after the reload", "before it"])
def test_a_queued_question_is_sent_after_a_reload(
    lab: NotebookPage, sandbox: Sandbox, ends: str
) -> None:
    """The kernel has not ended: the question waits on, or is sent as soon as the page is there."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    lab.save()
    sandbox.set_faults(say=LONG[:4_000], pause=0.008 if ends == "before it" else 0.05)
    panel.ask("First", wait=False)
    panel.wait_text("Sentence number 2")
    panel.input.fill("Second")
    panel.input.press("Enter")
    panel.input.fill("draft")
    queued = panel.root.get_by_role("group", name="Queued question")
    queued.get_by_text("Second", exact=True).wait_for()
    if ends == "before it":
        lab.page.goto("about:blank")
        lab.page.wait_for_timeout(3_000)
    else:
        sandbox.set_faults(say="Short.")
    lab.visit()
    panel = PanelPage(lab.page)
    if ends != "before it":
        panel.wait_state("busy")
        assert panel.input.input_value() == "draft"
        queued.get_by_text("Second", exact=True).wait_for()
    panel.turns.nth(1).wait_for()
    panel.wait_ready()
    assert panel.questions() == ["First", "Second"]
    assert panel.input.input_value() == "draft"
    assert not queued.is_visible()


def test_the_end_of_a_long_reply_follows_what_is_shown(lab: NotebookPage, sandbox: Sandbox) -> None:
    """The last chunks of a long reply arrive with its end: they are added after the tail."""
    chunks = ("A line of the reply.\n\n" * 225, "Nearly the end of it.\n\n" * 3, "The end.\n\n")
    assert len(chunks[0]) < MAX_STEP < sum(map(len, chunks))
    sandbox.set_faults(chunks=chunks, pause=0.03)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Tell me")
    assert panel.reply().split() == "".join(chunks).split()


def test_a_restarted_kernel_is_reported_and_the_question_kept(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """The panel of a restarted kernel cannot send; it says what to do and keeps the text."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Hello")
    lab.page.evaluate(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    panel.input.fill("Are you there?")
    panel.input.press("Enter")
    panel.root.get_by_role("alert").get_by_text(
        "Run the cell with %load_ext again, then the panel's cell."
    ).wait_for()
    panel.wait_state("silent")
    assert panel.input.input_value() == "Are you there?"
    assert panel.questions() == ["Hello"]


def test_two_views_and_two_panels_agree(lab: NotebookPage, sandbox: Sandbox) -> None:
    """Two views of one panel, and a second panel, show the same turns during a reply."""
    sandbox.set_faults(say=LONG[:2_000], pause=0.005)
    lab.open(
        connecting(sandbox),
        "from aeron_magic import ChatPanel\npanel = ChatPanel()\npanel",
        "panel",
        "%aeron panel",
    )
    lab.run_all()
    views = [PanelPage.in_notebook(lab, index) for index in range(3)]
    views[0].ask("Tell me", wait=False)
    for view in views:
        view.wait_text("Sentence number 3 ")
    views[1].stop()
    for view in views:
        view.wait_ready()
    texts = {view.reply() for view in views}
    assert len(texts) == 1
    views[2].ask("And then?")
    assert views[0].questions() == ["Tell me", "And then?"]


def test_a_thousand_turns_stay_smooth(lab: NotebookPage, sandbox: Sandbox) -> None:
    """In a conversation of a thousand turns, no chunk causes a long task in the page."""
    sandbox.set_faults(say=LONG[:6_000], pause=0.004)
    lab.open(connecting(sandbox), "%aeron ask Hello", THOUSAND, "%aeron panel")
    lab.run_all()
    panel = PanelPage.in_notebook(lab)
    assert panel.turns.count() == 20
    assert "Question 999" in panel.questions()[-1]
    panel.input.focus()

    def ask() -> None:
        begin(lab.page, "asking")
        lab.page.keyboard.insert_text("Tell me")
        lab.page.keyboard.press("Enter")
        begins = "() => document.querySelector('.ap-turn:last-child .ap-tail')?.textContent"
        lab.page.wait_for_function(begins)
        begin(lab.page, "streaming")
        lab.page.wait_for_function("() => !document.querySelector('.ap-tail')", polling=100)
        begin(lab.page, "after")  # JupyterLab parses the transcript: not measured

    # JupyterLab searches a changed transcript for headings about a second later: not measured.
    lab.page.wait_for_timeout(3_000)
    longest = longest_tasks(lab.page, ask)
    assert longest["streaming"] < 75  # usually a third of it
    panel.wait_ready()
    log = panel.root.locator(".ap-log")
    while panel.root.get_by_text("Question 900").count() == 0:
        log.evaluate("log => { log.scrollTop = 0; }")
        lab.page.wait_for_timeout(50)
    assert panel.turns.count() < 200


def test_a_reply_that_ends_is_not_moved(lab: NotebookPage, sandbox: Sandbox) -> None:
    """Buttons are added and dots removed, but a long reply's elements stay in the page."""
    sandbox.set_faults(say=LONG[:2_000], pause=0.004)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Tell me", wait=False)
    panel.wait_text("Sentence number 3 ")
    panel.evaluate(
        """root => {
            const body = root.querySelector(".ap-body");
            window.moved = 0;
            new MutationObserver((changes) => {
                for (const change of changes)
                    for (const node of change.removedNodes)
                        if (node.contains(body)) window.moved += 1;
            }).observe(root, { childList: true, subtree: true });
        }"""
    )
    panel.wait_ready()
    panel.root.get_by_role("button", name="Copy the reply as Markdown").wait_for(state="attached")
    assert panel.root.locator(".ap-wait").count() == 0
    assert lab.page.evaluate("() => window.moved") == 0


def test_saved_and_opened_without_a_kernel(
    lab: NotebookPage, sandbox: Sandbox, new_page: Callable[[], NotebookPage], tmp_path: Path
) -> None:
    """The conversation can be read in the saved notebook, in Lab and in nbconvert's HTML."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("How do I continue a conversation?")
    lab.wait_shown(1, "Transcript: turn 1")
    saved = lab.save()
    lab.site.close_sessions()
    transcript = saved.cells[1].outputs[1].data
    for kind in ("text/html", "text/markdown", "text/plain"):
        assert "How do I continue a conversation?" in transcript[kind]
        assert "context_token" in transcript[kind]
    assert "object at" not in saved.cells[1].outputs[0].data["text/plain"]

    again = new_page()
    again.name = lab.name
    again.visit()
    summary = again.page.get_by_text("Transcript: turn 1")
    summary.click()
    again.page.locator(".jp-OutputArea details", has_text="context_token").wait_for()
    again.page.locator(".jp-OutputArea details code").first.wait_for()

    path = lab.site.folder / lab.name
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path)]
    subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=60)
    html = next(tmp_path.glob("*.html")).read_text(encoding="utf-8")
    assert "<summary>Transcript: turn 1</summary>" in html
    assert "How do I continue a conversation?" in html


def test_after_a_reload_the_panels_cell_renews_the_transcript(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """JupyterLab no longer knows the display that the transcript would update."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Before the reload?")
    lab.wait_shown(1, "Transcript: turn 1")
    lab.save()
    lab.visit()
    panel = PanelPage(lab.page)
    panel.wait_ready()
    panel.ask("After the reload?")
    lab.run(1)
    lab.wait_shown(1, "Transcript: turns 1 to 2")
    transcript = lab.save().cells[1].outputs[1].data["text/markdown"]
    assert "Before the reload?" in transcript
    assert "After the reload?" in transcript


def test_voila(lab: NotebookPage, sandbox: Sandbox, screenshots: Path) -> None:
    """The panel works in Voilà, without cells."""
    notebook = notebook_of(connecting(sandbox), "%aeron panel")
    lab.name = "voila-panel.ipynb"
    lab.site.write(lab.name, notebook)
    page = lab.page.context.new_page()
    page.goto(f"{lab.site.url}/voila/render/{lab.name}?token={lab.site.token}", timeout=60_000)
    panel = PanelPage(page)
    panel.wait_ready()
    panel.ask("How do I continue a conversation?")
    assert "context_token" in panel.reply()
    panel.ask("Why?", wait=False)
    panel.turns.nth(1).wait_for()
    panel.wait_ready()
    assert page.get_by_role("button", name="Insert as a new cell").count() == 0
    page.screenshot(path=screenshots / "panel-voila.png")
    page.close()


def test_voila_on_the_notebook_about_the_panel(lab: NotebookPage, screenshots: Path) -> None:
    """The committed notebook becomes a page with the panel, which answers a question."""
    lab.site.write(NOTEBOOK.name, nbformat.read(NOTEBOOK, as_version=4))
    page = lab.page.context.new_page()
    page.goto(f"{lab.site.url}/voila/render/{NOTEBOOK.name}?token={lab.site.token}", timeout=90_000)
    panel = PanelPage(page)
    panel.wait_ready()
    assert panel.questions() == ["How do I continue a conversation?"]  # asked by a cell
    panel.ask("How do I put a value into my question?")
    assert len(panel.questions()) == 2
    assert "{{name}}" in panel.reply()
    page.screenshot(path=screenshots / "panel-voila-notebook.png")
    page.close()
