"""The chat panel in a real page: asking, stopping, errors, branches, and cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from credentials import connecting
from line_breaks import BROKEN, OPTIONS, WIDE
from notebook_page import Frontend, NotebookPage
from panel_page import PanelPage
from playwright.sync_api import BrowserContext, Locator, expect

from aeron_magic.jupyter.panel.assets import script, style
from aeron_magic.sandbox import Refusal, Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LONG = "".join(f"Sentence number {n} of a reply that takes its time. " for n in range(400))

ALONE = """async script => {
    const module = await import(URL.createObjectURL(new Blob([script], {type: 'text/javascript'})));
    let onStatus;
    window.asked = [];
    const signal = { connect: act => { onStatus ??= act; }, disconnect() {} };
    const model = {
        get: () => '', off() {},
        on: (name, act) => { if (name === 'msg:custom') window.receive = act; },
        send: message => { if (['ask', 'edit'].includes(message.do)) window.asked.push(message); },
        widget_manager: { context: { path: '', sessionContext: { statusChanged: signal } } },
    };
    window.end = how => how === 'refused'
        ? receive({ type: 'error', title: 'No.', hint: '', request: asked[0].id })
        : onStatus(null, how);
    const panel = module.default();
    panel.initialize({ model });
    panel.render({ model, el: document.body });
}"""
"""Shows a panel without a kernel; ``end`` refuses its question, or sends a kernel's status."""

STATE = """([kernel, busy]) => {
    const about = { kernel, conversation: 'main', conversations: [], suggestions: [] };
    const turn = {
        key: 'main#1', question: 'First', status: busy ? 'processing' : 'complete',
        images: [], blocks: [], branches: true, siblings: { at: 0, keys: ['main#1'] },
    };
    const live = busy ? { key: turn.key, seq: 0, blocks: [], tail: '', notice: '' } : null;
    receive({ type: 'state', about, turns: [turn], first: 0, live, draft: '' });
}"""
"""Sends a kernel's state with one turn."""


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_ask_and_stream(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path, frontend: Frontend
) -> None:
    """A reply grows while it comes in, and cell and panel continue one conversation."""
    sandbox.set_faults(pause=0.02)
    lab.open(
        connecting(sandbox),
        "%aeron panel",
        "print(context_token)",
        "%%aeron\nShow me an example",
        frontend=frontend,
    )
    lab.run(0)
    lab.run(1)
    panel = PanelPage.in_notebook(lab)
    panel.ask("How do I continue a conversation?", wait=False)
    lengths = set()
    panel.turns.first.locator(".ap-tail > *").first.wait_for()
    while panel.root.get_attribute("data-state") == "busy":
        lengths.add(len(panel.reply()))
    assert len(lengths) > 5
    assert "context_token" in panel.reply()
    lab.run(2)
    token = lab.outputs(2)[0]["text"].strip()
    panel.click("Time and token", panel.turns.first)
    assert panel.turns.first.locator("dd code").inner_text() == token

    lab.start(3)
    panel.wait_state("busy")
    panel.wait_ready()
    assert panel.questions() == ["How do I continue a conversation?", "Show me an example"]
    assert "from a cell" in panel.turns.nth(1).inner_text()
    panel.root.scroll_into_view_if_needed()
    lab.screenshot(screenshots / f"panel-{frontend}.png")
    panel.ask("Why?")
    assert len(panel.questions()) == 3


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_shift_enter_breaks_the_line(
    lab: NotebookPage, sandbox: Sandbox, frontend: Frontend
) -> None:
    """Shift+Enter neither sends nor runs the cell; what is typed stays."""
    panel = PanelPage.in_new_notebook(lab, sandbox, frontend=frontend)
    panel.input.click()
    panel.input.press_sequentially("one")
    panel.input.press("Shift+Enter")
    panel.input.press_sequentially("two")
    assert panel.input.input_value() == "one\ntwo"
    assert lab.prompt(1) == 2
    panel.input.press("Enter")
    panel.wait_ready()
    assert panel.questions() == ["one\ntwo"]
    panel.click("Edit and ask as a branch", panel.turns.first)
    edit = panel.root.get_by_label("Edit the question")
    edit.press("End")
    edit.press("Shift+Enter")
    edit.press_sequentially("three")
    assert edit.input_value() in ("one\ntwo\nthree", "one\nthree\ntwo")


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_stop_and_ask_while_a_cell_computes(
    lab: NotebookPage, sandbox: Sandbox, frontend: Frontend
) -> None:
    """While a cell runs, a question is sent, its reply is shown, and Stop ends it at once."""
    lab.open(
        connecting(sandbox),
        "%aeron panel",
        "import time\nend = time.time() + 90\nwhile time.time() < end: time.sleep(.01)",
        "%aeron ask Hello",
        frontend=frontend,
    )
    lab.run(0)
    lab.run(1)
    panel = PanelPage.in_notebook(lab)
    lab.run(3)  # a cell was the last to use the panel's channel
    panel.wait_text("sandbox")
    lab.start(2)
    lab.page.wait_for_timeout(300)  # until the cell has begun, which the page does not show
    sandbox.set_faults(say=LONG, pause=0.02)
    panel.ask("Tell me", wait=False)
    panel.wait_text("Sentence number 20")
    panel.evaluate("root => { window.pressed = performance.now(); }")
    panel.stop()
    panel.wait_ready()
    assert panel.evaluate("root => performance.now() - window.pressed") < 1_000
    assert lab.prompt(2) is None, "the cell has ended: nothing was shown beside it"
    assert "Stopped." in panel.turns.last.inner_text()
    sandbox.set_faults(say="Short.", pause=0)
    panel.ask("And now?")
    assert panel.reply().strip() == "Short."
    assert lab.prompt(2) is None
    lab.interrupt()


def test_stop_from_the_first_moment(lab: NotebookPage, sandbox: Sandbox) -> None:
    """A question can be stopped before the reply begins, and the next one works."""
    sandbox.set_faults(first_chunk=20)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Hello?", wait=False)
    panel.stop()
    panel.wait_ready()
    sandbox.set_faults(first_chunk=0)
    panel.click("Ask again")
    panel.wait_ready()
    assert panel.questions() == ["Hello?"]
    assert "sandbox" in panel.reply()


def test_a_double_click_on_send_does_not_stop_the_question(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """Stop appears in the place of Send, under the pointer."""
    sandbox.set_faults(say="Here it is.", first_chunk=0.3)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.input.fill("Hello?")
    panel.root.get_by_role("button", name="Send").dblclick()
    panel.wait_text("Here it is.")
    panel.wait_ready()
    assert "Stopped" not in panel.turns.last.inner_text()
    assert len(sandbox.log.of("create-response")) == 1
    sandbox.set_faults(first_chunk=20)
    panel.input.fill("Once more?")
    panel.click("Send")
    lab.page.wait_for_timeout(700)  # longer than a double click takes
    panel.stop()
    panel.wait_text("Stopped.")


def test_an_error_stands_where_the_reply_would(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path
) -> None:
    """Retry is offered if the question was refused, Fetch if the reply's token is known."""
    sandbox.set_faults(refuse=(Refusal("create-response", 400, message="No such luck."),))
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("What is a turn?", wait=False)
    panel.wait_text("No such luck.")
    panel.wait_ready()
    lab.screenshot(screenshots / "panel-error.png", 1)
    panel.click("Retry")
    panel.wait_text("turn")
    panel.wait_ready()
    assert panel.root.locator(".ap-error").count() == 0
    assert panel.questions() == ["What is a turn?"]

    sandbox.set_faults(cut_after=700, refuse=(Refusal("fetch-response", 400, times=1),))
    panel.ask("How do I continue a conversation?", wait=False)
    panel.root.locator(".ap-error").wait_for()
    panel.wait_ready()
    panel.click("Fetch the reply")
    panel.root.locator(".ap-error").wait_for(state="detached")
    panel.wait_ready()
    assert len(panel.reply()) > 300


def test_the_known_part_of_a_reply_stays_while_it_is_fetched(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path
) -> None:
    """By the keyboard: Esc stops the fetch, and the focus is in the input after each end."""
    sandbox.set_faults(say=LONG[:2_500], pause=0.01)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Tell me", wait=False)
    panel.wait_text("Sentence number 5")
    panel.input.press("Escape")
    panel.wait_ready()
    part = panel.reply()
    assert "Sentence number 5" in part
    fetch = panel.root.get_by_role("button", name="Fetch the reply")
    focused = "() => document.activeElement.getAttribute('aria-label')"

    sandbox.set_faults(latency=20)
    fetch.focus()
    lab.page.keyboard.press("Enter")
    panel.turns.last.get_by_text("fetching the reply …").wait_for()
    assert panel.turns.last.get_by_text("Sentence number 5").is_visible()
    assert panel.reply().startswith(part)
    assert not panel.turns.last.get_by_text("Stopped.").is_visible()
    assert lab.page.evaluate(focused) == "Your question"
    lab.screenshot(screenshots / "panel-fetching.png", 1)
    panel.root.locator(".ap-log").focus()
    lab.page.keyboard.press("Escape")
    panel.wait_ready()
    panel.turns.last.get_by_text("Stopped.").wait_for()
    assert panel.reply() == part
    assert lab.page.evaluate(focused) == "Your question"

    sandbox.set_faults(latency=0, refuse=(Refusal("fetch-response", 400, message="Not now."),))
    fetch.focus()
    lab.page.keyboard.press("Enter")
    panel.wait_text("Not now.")
    assert panel.reply() == part
    assert lab.page.evaluate(focused) == "Your question"

    fetch.focus()
    lab.page.keyboard.press("Enter")
    fetch.wait_for(state="detached")
    panel.wait_ready()
    assert panel.reply().strip() == LONG[:2_500].strip()
    assert lab.page.evaluate(focused) == "Your question"


def test_edit_and_regenerate_make_branches(lab: NotebookPage, sandbox: Sandbox) -> None:
    """An edited question becomes a branch; each branch can be selected and continued."""
    lab.open(connecting(sandbox), "%aeron panel", "print(context_token)")
    lab.run(0)
    lab.run(1)
    panel = PanelPage.in_notebook(lab)
    panel.ask("How do I continue a conversation?")
    panel.ask("Why?")
    first = panel.turns.first
    first.hover()
    panel.click("Edit and ask as a branch", first)
    box = panel.root.get_by_label("Edit the question")
    box.fill("How do I record?")
    box.press("Enter")
    panel.root.get_by_text("2/2").wait_for()
    panel.wait_ready()
    assert panel.questions() == ["How do I record?"]
    panel.click("Previous branch")
    panel.root.get_by_text("1/2").wait_for()
    assert panel.questions() == ["How do I continue a conversation?", "Why?"]
    lab.run(2)
    token = lab.outputs(2)[0]["text"].strip()
    panel.click("Time and token", panel.turns.last)
    assert panel.turns.last.locator("dd code").inner_text() == token
    panel.click("Ask again, as a branch", panel.turns.last)
    panel.root.get_by_text("2/2").wait_for()
    panel.wait_ready()
    assert panel.questions() == ["How do I continue a conversation?", "Why?"]


def test_stopped_turns_stand_apart(lab: NotebookPage, sandbox: Sandbox, screenshots: Path) -> None:
    """They have a mark and no counter; the next question's place is above the input box."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    place = panel.root.locator(".ap-next")

    def stopped(text: str) -> None:
        sandbox.set_faults(pause=0.3, chunk_size=20)
        panel.ask(text, wait=False)
        panel.turns.last.locator(".ap-tail > *").first.wait_for()
        assert place.is_hidden()
        panel.input.press("Escape")
        panel.wait_ready()
        sandbox.set_faults(pause=0)

    def edit(turn: Locator, text: str) -> None:
        turn.hover()
        panel.click("Edit and ask as a branch", turn)
        box = panel.root.get_by_label("Edit the question")
        box.fill(text)
        box.press("Enter")

    panel.ask("How do I continue a conversation?")
    for text in ("What is a token?", "How do I record?"):
        stopped(text)
        expected = "The next question continues after turn 1: How do I continue a conversation?"
        assert place.inner_text() == expected
        assert place.get_by_role("button").count() == 0
    lab.screenshot(screenshots / "panel-stopped.png", 1)
    panel.ask("Why?")
    assert place.is_hidden()
    edit(panel.turns.last, "And in Python?")
    panel.root.get_by_text("2/2").wait_for()
    panel.wait_ready()
    shown = panel.questions()
    assert shown[1:] == ["What is a token?", "How do I record?", "And in Python?"]
    marks = panel.turns.get_by_text("What follows does not continue from here.")
    assert marks.count() == 2
    assert panel.root.locator(".ap-branches").count() == 1
    assert "Continues after turn 1." in panel.turns.last.inner_text()

    sandbox.set_faults(pause=0.3, chunk_size=20)
    edit(panel.turns.last, "And in R?")
    panel.turns.last.get_by_text("And in R?").wait_for()
    panel.turns.last.locator(".ap-tail > *").first.wait_for()
    panel.input.press("Escape")
    panel.wait_ready()
    sandbox.set_faults(pause=0)
    assert "after turn 5: And in Python?" in place.inner_text()
    lab.screenshot(screenshots / "panel-next-question.png", 1)
    panel.click("Show it", place)
    place.get_by_role("button").wait_for(state="detached")
    shown.append("And in R?")
    assert panel.questions() == shown, "the stopped one is beside the turn that is continued"
    assert "after turn 5: And in Python?" in place.inner_text()
    assert marks.count() == 3

    panel.click("Fetch the reply", panel.turns.nth(1))
    go_on = panel.turns.nth(1).get_by_role("button", name="Continue from here")
    go_on.wait_for()
    panel.wait_ready()
    assert panel.questions() == shown, "those asked since stay"
    expect(panel.turns.nth(1)).to_be_in_viewport()
    go_on.scroll_into_view_if_needed()
    lab.screenshot(screenshots / "panel-fetched.png", 1)
    go_on.click()
    expect(panel.root.get_by_text("1/3")).to_be_in_viewport()
    assert panel.questions() == [*shown[:3], "And in R?"], "the stopped ones stay"
    assert "after turn 2: What is a token?" in place.inner_text()


def test_an_older_question_stays_in_sight_while_it_is_edited(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """The edit box is taller than the question, and the panel does not scroll to its end."""
    sandbox.set_faults(say="Yes.")
    panel = PanelPage.in_new_notebook(lab, sandbox)
    for text in ("One?", "Two?", "Three?", "Four?"):
        panel.ask(text)
    above = """root => {
        const top = root.querySelector('.ap-log').getBoundingClientRect().top;
        return [...root.querySelectorAll('.ap-turns > .ap-turn')]
            .map(turn => turn.getBoundingClientRect().top - top);
    }"""
    first, controller = next((i, top) for i, top in enumerate(panel.evaluate(above)) if top >= 0)
    assert first < 3, "the turn that is edited is not the last"
    # Make its question the first visible thing.
    panel.evaluate(
        f"root => root.style.setProperty('--ap-height', `${{root.offsetHeight - {controller}}}px`)"
    )
    lab.page.wait_for_function(
        f"root => ({above})(root)[{first}] < 5", arg=panel.root.element_handle()
    )
    panel.turns.nth(first).hover()
    panel.click("Edit and ask as a branch", panel.turns.nth(first))
    # Two frames: a ResizeObserver runs after the first.
    panel.evaluate("root => new Promise(end => requestAnimationFrame(() => setTimeout(end, 50)))")
    box = panel.root.get_by_label("Edit the question")
    edge = panel.evaluate("root => root.querySelector('.ap-log').getBoundingClientRect().top")
    assert box.evaluate("box => box.getBoundingClientRect().top") > edge - 5


EXECUTE = """code => jupyterapp.shell.currentWidget.sessionContext.session.kernel
    .requestExecute({ code }).done"""


def test_an_open_edit_box_outlasts_what_the_kernel_does(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """A turn is asked again by a cell, and the conversation is changed; the focus stays, too."""
    sandbox.set_faults(say="A paragraph.\n\n" * 12)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("One")
    lab.page.evaluate(EXECUTE, "%%aeron --as mine\nTwo")
    panel.ask("Three")
    boxes = panel.root.get_by_label("Edit the question")
    for index in (1, 0):
        turn = panel.turns.nth(index)
        turn.hover()
        panel.click("Edit and ask as a branch", turn)
        turn.get_by_label("Edit the question").fill(f"Typed at {index}")
    boxes.first.press("ArrowLeft")
    above = boxes.first.evaluate("area => area.getBoundingClientRect().top")
    for code in ("refused", "%%aeron --as mine\nTwo again", "%aeron use other\n%aeron use main"):
        if code == "refused":
            sandbox.set_faults(refuse=(Refusal("create-response", 400),))
            code = "%%aeron --as mine\nTwo, refused"
        assert boxes.first.evaluate("area => area === document.activeElement")
        lab.page.evaluate(EXECUTE, code)
        panel.wait_ready()
        panel.root.get_by_label("Turn 1").wait_for()
        typed = [box.input_value() for box in boxes.all()]
        assert typed == ["Typed at 0", "Typed at 1"]
        if "use" not in code:
            assert abs(boxes.first.evaluate("area => area.getBoundingClientRect().top") - above) < 2
            boxes.first.press_sequentially("!")
            boxes.first.press("Backspace")
        boxes.first.focus()
    panel.click("Cancel", panel.turns.nth(1))
    panel.turns.nth(1).get_by_text("Two again").wait_for()
    boxes.first.press("Enter")
    panel.turns.nth(1).wait_for(state="detached")
    panel.wait_ready()
    assert panel.questions() == ["Typed at 0"]


def test_an_edit_box_is_not_shown_in_another_conversation(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """Whose turn has the same name and number."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("One")
    panel.turns.first.hover()
    panel.click("Edit and ask as a branch", panel.turns.first)
    panel.root.get_by_label("Edit the question").fill("Typed at one")
    lab.page.evaluate(EXECUTE, "%aeron forget main\n%aeron ask Another")
    panel.root.get_by_text("Another", exact=True).wait_for()
    panel.wait_ready()
    assert panel.root.get_by_label("Edit the question").count() == 0
    assert panel.questions() == ["Another"]


def test_asking_again_during_a_reply_is_refused(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path
) -> None:
    """An edited question cannot be asked during a reply, and the panel shows why."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("One?")
    sandbox.set_faults(say=LONG, pause=0.02)
    panel.ask("Two?", wait=False)
    panel.wait_text("Sentence number 2")
    panel.turns.first.hover()
    panel.click("Edit and ask as a branch", panel.turns.first)
    ask = panel.turns.first.get_by_role("button", name="Ask as a branch", exact=True)
    assert ask.is_disabled()
    assert "Wait until the reply has ended" in panel.turns.first.inner_text()
    lab.screenshot(screenshots / "panel-edit-busy.png", 1)
    panel.turns.first.get_by_label("Edit the question").press("Enter")
    panel.root.get_by_role("alert").get_by_text("A reply is still being received.").wait_for()
    panel.stop()
    panel.wait_ready()
    assert not panel.root.get_by_role("alert").is_visible()
    assert ask.is_enabled()
    panel.click("Cancel", panel.turns.first)
    assert panel.questions() == ["One?", "Two?"]


def test_the_input_shows_all_lines_of_a_draft(lab: NotebookPage, sandbox: Sandbox) -> None:
    """Also of one that came while the panel was not on the page, or was wider."""
    panel = PanelPage.in_new_notebook(lab, sandbox)
    whole = (
        "() => (area => area.scrollHeight - area.clientHeight)(document.querySelector('.ap-input'))"
    )
    hidden = "(root, value) => { root.style.display = value; }"
    panel.root.evaluate(hidden, "none")
    panel.evaluate("""root => {
        const area = root.querySelector('.ap-input');
        area.value = 'Why?\\n\\nhalf a draft';
        area.dispatchEvent(new Event('input'));
    }""")
    panel.root.evaluate(hidden, "")
    lab.page.wait_for_function(f"({whole})() === 0")
    panel.input.fill("word " * 30)
    panel.evaluate("root => { root.style.width = '360px'; }")
    lab.page.wait_for_function(f"({whole})() === 0")


def test_code_can_be_read_in_a_narrow_panel(lab: NotebookPage, sandbox: Sandbox) -> None:
    """The buttons of a code block cover no line, wherever it is scrolled to."""
    sandbox.set_faults(say=f"```python\n{'x' * 200}\n```\n")
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Show code")
    end = """root => {
        const [code, head] = [root.querySelector('pre'), root.querySelector('.ap-code-head')]
            .map(one => one.getBoundingClientRect());
        return code.right <= head.left || head.bottom <= code.top;
    }"""
    assert panel.evaluate(end)
    panel.evaluate("root => { root.style.width = '360px'; }")
    assert panel.evaluate(end)
    sandbox.set_faults(say="```text\n%aeron tree\n```\n")
    panel.ask("Show a short one")
    beside = "root => [...root.querySelectorAll('figure')].at(-1).offsetHeight < 45"
    assert panel.evaluate(beside), "a short line has no empty line above it"
    assert panel.evaluate(end)


def test_commands_are_shown_as_code(lab: NotebookPage) -> None:
    """Without a connection, the commands that connect are shown as code, without backticks."""
    lab.open("%load_ext aeron_magic", "%aeron panel")
    lab.run_all()
    panel = PanelPage.in_notebook(lab)
    codes = panel.root.locator(".ap-empty code").all_text_contents()
    assert codes == ["%aeron connect aeronpay", "%aeron connect chatzy"]


def test_copy_insert_and_export(lab: NotebookPage, sandbox: Sandbox) -> None:
    """Code, question and reply can be copied and inserted as cells; the conversation exported."""
    reply = "Some *text*:\n\n```python\nprint(6 * 7)\n```\n"
    sandbox.set_faults(say=reply)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Show code")
    turn = panel.turns.first
    clipboard = "() => navigator.clipboard.readText()"
    panel.click("Copy this code", turn)
    turn.locator(".ap-done").first.wait_for()
    assert lab.page.evaluate(clipboard) == "print(6 * 7)"
    panel.click("Copy the reply as Markdown", turn)
    turn.locator(".ap-tools .ap-done").wait_for()
    assert lab.page.evaluate(clipboard) == reply
    panel.click("Insert as a new cell", turn)
    cells = (
        "() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(c => c.source)"
    )
    assert lab.page.evaluate(cells)[2] == "print(6 * 7)"
    turn.hover()
    panel.click("Insert the question as a new cell", turn)
    assert lab.page.evaluate(cells)[2:] == ["print(6 * 7)", "%%aeron\nShow code"]
    for kind in ("html", "md", "ipynb", "json", "chat.md"):
        panel.root.get_by_label("Export").click()
        with lab.page.expect_download() as download:
            panel.root.locator(
                ".ap-choices button", has=lab.page.get_by_text(f".{kind}")
            ).first.click()
        assert download.value.suggested_filename == f"main.{kind}"
        assert "Show code" in Path(download.value.path()).read_text(encoding="utf-8")
    panel.click("New chat")
    turn.wait_for(state="detached")
    panel.root.get_by_label("Export").click()
    assert panel.root.locator(".ap-choices button:disabled").count() == 5
    panel.ask("Anything else?")
    panel.root.get_by_label("Export").click()
    assert panel.root.locator(".ap-choices button:enabled").count() == 5


def test_conversations(lab: NotebookPage, sandbox: Sandbox) -> None:
    """A new chat begins empty, and the previous one can be selected again."""
    lab.open(connecting(sandbox), "%aeron panel", "%aeron use main")
    lab.run(0)
    lab.run(1)
    panel = PanelPage.in_notebook(lab)
    panel.ask("How do I record?")
    panel.click("New chat")
    panel.turns.first.wait_for(state="detached")
    panel.ask("What is a turn?")
    picker = panel.root.get_by_label("Conversation", exact=True).and_(lab.page.locator("select"))
    assert picker.locator("option").all_text_contents() == ["main (1)", "conversation-2 (1)"]
    picker.select_option("main")
    panel.wait_text("How do I record?")
    assert panel.questions() == ["How do I record?"]


@pytest.mark.parametrize("cut_after", [None, 12_000], ids=["whole", "recovered"])
def test_a_question_typed_during_a_reply_is_sent_after_it(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path, cut_after: int | None
) -> None:
    """The input stays usable while a reply streams: what is typed next is another draft."""
    sandbox.set_faults(say=LONG[:2_500], pause=0.01, cut_after=cut_after)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("First", wait=False)
    panel.wait_text("Sentence number 2")
    panel.input.fill("Second")
    panel.input.press("Enter")
    queued = panel.root.get_by_role("group", name="Queued question")
    queued.get_by_text("Second", exact=True).wait_for()
    assert panel.input.input_value() == ""
    panel.input.press_sequentially("draft")
    panel.input.press("Enter")
    assert queued.locator(".ap-bubble").text_content() == "Second"
    lab.screenshot(screenshots / "panel-queued.png", 1)
    sandbox.set_faults(say="Short.", pause=0)
    panel.turns.nth(1).wait_for()
    panel.wait_ready()
    assert panel.questions() == ["First", "Second"]
    assert ("The stream was lost" in panel.turns.first.inner_text()) == bool(cut_after)
    assert panel.input.input_value() == "draft"
    assert not queued.is_visible()


@pytest.mark.parametrize("how", ["Take back", "Stop", "restart"])
def test_a_queued_question_that_is_not_sent_is_in_the_input(
    lab: NotebookPage, sandbox: Sandbox, how: str
) -> None:
    """Before what was typed after it; also if the kernel ends."""
    sandbox.set_faults(say=LONG, pause=0.05)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("First", wait=False)
    panel.wait_text("Sentence number 2")
    panel.input.fill("Second")
    panel.input.press("Enter")
    panel.input.press_sequentially("draft")
    if how == "restart":
        lab.page.evaluate(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        panel.wait_state("silent")
    else:
        panel.click(how)
    panel.root.get_by_role("group", name="Queued question").wait_for(state="hidden")
    assert panel.input.input_value() == "Second\n\ndraft"
    if how == "Take back":
        panel.stop()
        panel.wait_ready()
    assert panel.questions() == ["First"]


@pytest.mark.parametrize("end", ["refused", "restarting"])
def test_questions_that_are_not_asked_are_in_the_input_in_their_order(
    context: BrowserContext, end: str
) -> None:
    """The one that has not begun, the queued one, the draft; without a kernel."""
    page = context.new_page()
    page.evaluate(ALONE, script())
    panel = PanelPage(page)
    for text in ("First", "Second"):
        panel.input.fill(text)
        panel.input.press("Enter")
    panel.input.fill("draft")
    panel.root.get_by_role("group", name="Queued question").wait_for()
    page.evaluate("end => window.end(end)", end)
    assert panel.input.input_value() == "First\n\nSecond\n\ndraft"
    assert panel.questions() == []
    page.close()


@pytest.mark.parametrize("end", ["refused", "restarting"])
def test_an_edited_question_that_is_not_asked_is_in_the_input(
    context: BrowserContext, end: str
) -> None:
    page = context.new_page()
    page.evaluate(ALONE, script())
    page.evaluate(STATE, ["kernel", False])
    panel = PanelPage(page)
    panel.turns.first.hover()
    panel.click("Edit and ask as a branch")
    box = panel.root.get_by_label("Edit the question")
    box.fill("Edited")
    box.press("Enter")
    page.evaluate("end => window.end(end)", end)
    assert panel.input.input_value() == "Edited"
    page.close()


@pytest.mark.parametrize(("kernel", "sent"), [("the same", ["Second"]), ("another", [])])
def test_a_queued_question_is_sent_to_no_other_kernel(
    context: BrowserContext, kernel: str, sent: list[str]
) -> None:
    """A page that was reloaded sends it once; after a restart it is a draft."""
    page = context.new_page()
    page.route("http://panel.test/", lambda route: route.fulfill(body="<!doctype html>"))
    panel = PanelPage(page)
    for state in (["the same", True], [kernel, False]):
        page.goto("http://panel.test/")
        page.evaluate(ALONE, script())
        page.evaluate(STATE, state)
        if state[1]:
            panel.input.fill("Second")
            panel.input.press("Enter")
    assert page.evaluate("asked.map(one => one.text)") == sent
    assert panel.input.input_value() == ("" if sent else "Second")
    page.close()


def test_code_in_an_error_is_not_broken_after_hyphens(context: BrowserContext) -> None:
    """It is whole where it fits on a line, and longer code is not wider than the panel."""
    page = context.new_page()
    page.evaluate(ALONE, script())
    page.add_style_tag(content=style())
    panel = PanelPage(page)
    panel.evaluate("root => { root.style.width = '300px'; }")
    notice = panel.root.get_by_role("alert")
    for size in range(1, 30):
        title = f"{'x' * size} {OPTIONS}"
        message = {"type": "error", "title": title, "hint": title, "request": ""}
        page.evaluate("message => receive(message)", message)
        assert notice.evaluate(BROKEN) == []
    message["hint"] = f"Long `{'--part-of' * 30}`"
    page.evaluate("message => receive(message)", message)
    notice.get_by_text("--part-of--part-of").wait_for()
    assert notice.evaluate(WIDE) == 0
    page.close()


def test_chatzy_introduces_itself(lab: NotebookPage, sandbox: Sandbox, screenshots: Path) -> None:
    """An agent's introduction is shown with its buttons; a button sends its text as a question."""
    panel = PanelPage.in_new_notebook(lab, sandbox, "chatzy")
    chip = panel.root.locator(".ap-chip").first
    chip.wait_for()
    lab.screenshot(screenshots / "panel-chatzy.png", 1)
    text = chip.inner_text()
    chip.click()
    panel.turns.first.wait_for()
    panel.wait_ready()
    assert panel.questions() == [text]
    panel.ask("Anything else?")
    assert len(panel.questions()) == 2


def test_a_frozen_agent_is_not_asked_again(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path
) -> None:
    """The reason and whom to ask are shown, without a button that would change nothing."""
    sandbox.set_faults(signal="[FROZEN]")
    panel = PanelPage.in_new_notebook(lab, sandbox, "chatzy")
    panel.ask("Hello?", wait=False)
    error = panel.turns.last.get_by_role("group", name="The reply failed")
    error.wait_for()
    panel.wait_ready()
    assert "it is frozen" in error.inner_text()
    assert "Ask the agent's owner" in error.inner_text()
    assert error.get_by_role("button").count() == 0
    lab.screenshot(screenshots / "panel-frozen.png", 1)


def test_chatzy_uses_a_tool(lab: NotebookPage, sandbox: Sandbox, screenshots: Path) -> None:
    """While an agent uses a tool, a notice below the text says so."""
    # The reply comes as one event after the tool's; in the middle of it the service falls silent.
    sandbox.set_faults(say=LONG, chunk_size=len(LONG), stall_after=4_000, stall_seconds=4)
    panel = PanelPage.in_new_notebook(lab, sandbox, "chatzy")
    panel.ask("Please look up the opening hours", wait=False)
    notice = panel.turns.last.locator(".ap-wait .ap-notice")
    notice.get_by_text("using a tool …").wait_for()
    lab.screenshot(screenshots / "panel-tool.png", 1)
    panel.wait_ready()
    assert panel.turns.last.locator(".ap-notice").count() == 0
    assert "using a tool" not in panel.turns.last.inner_text()
    assert "Sentence number 399" in panel.reply()


def test_late_growth_does_not_stop_scrolling_to_the_end(
    lab: NotebookPage, sandbox: Sandbox
) -> None:
    """Math is typeset after the panel has scrolled, which resembles a reader who scrolled up."""
    sandbox.set_faults(say="A line.\n\n" * 40)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Tell me")
    left = panel.evaluate(
        """root => new Promise(end => {
            const log = root.querySelector('.ap-log');
            root.querySelector('.ap-body').style.paddingBottom = '300px';
            log.dispatchEvent(new Event('scroll'));
            const rest = () => log.scrollHeight - log.scrollTop - log.clientHeight;
            requestAnimationFrame(() => setTimeout(() => end(rest()), 50));
        })"""
    )
    assert left < 40
    assert not panel.root.get_by_role("button", name="Newest").is_visible()


def test_the_reader_keeps_the_place(lab: NotebookPage, sandbox: Sandbox) -> None:
    """The page follows a growing reply, but not once the reader has scrolled up."""
    sandbox.set_faults(say=LONG.replace(". ", ".\n\n"), pause=0.005)
    panel = PanelPage.in_new_notebook(lab, sandbox)
    panel.ask("Tell me", wait=False)
    panel.wait_text("Sentence number 40")
    left = "root => { const l = root.querySelector('.ap-log');"
    left += " return l.scrollHeight - l.scrollTop - l.clientHeight; }"
    assert panel.evaluate(left) < 40
    panel.root.locator(".ap-log").hover()
    lab.page.mouse.wheel(0, -400)
    panel.root.get_by_role("button", name="Newest").wait_for()
    top = panel.evaluate("root => root.querySelector('.ap-log').scrollTop")
    panel.wait_text("Sentence number 120")
    assert panel.evaluate("root => root.querySelector('.ap-log').scrollTop") == top
    panel.click("Newest")
    panel.wait_text("Sentence number 140")
    assert panel.evaluate(left) < 40
    panel.stop()
    panel.wait_ready()
