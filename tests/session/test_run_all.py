"""A notebook that was edited and is run again in a live kernel, compared with one in a new kernel.

Each under both readings of the vendor's page: a token for each reply, or one for the conversation.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fake_notebook import Cell, FakeNotebook, shape
from hypothesis import given, settings
from hypothesis import strategies as st

from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.conversations.tree import Turn
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.frontend import RunOrder
from aeron_magic.replies.reply import Reply, Status
from aeron_magic.sandbox import Sandbox
from aeron_magic.sandbox.faults import Faults, Refusal

Cells = Sequence[Cell | str]
Paths = dict[str, tuple[str, list[str]]]


@pytest.fixture(params=["new", "same"])
def notebook(request: pytest.FixtureRequest) -> Iterator[FakeNotebook]:
    with Sandbox(token_rule=request.param, faults=Faults(say="So it is.")) as sandbox:
        notebook = FakeNotebook(sandbox)
        yield notebook
        notebook.close()


def as_cells(cells: Cells) -> list[Cell]:
    return [Cell(one, f"question of {one}") if isinstance(one, str) else one for one in cells]


def paths(registry: ConversationRegistry, cells: Cells) -> Paths:
    """For each cell its conversation and the questions that led to its reply, its own included."""
    found: Paths = {}
    for cell in as_cells(cells):
        turns = [(turn, tree) for tree in registry if (turn := tree.by_cell(cell.id)) is not None]
        turn, tree = max(turns, key=lambda one: one[0].asked_at)
        found[cell.id or ""] = (tree.name, [one.question for one in turn.path()])
    return found


def one_after_the_other(cells: str) -> Paths:
    asked = [f"question of {cell}" for cell in cells]
    return {cell: ("main", asked[: number + 1]) for number, cell in enumerate(cells)}


def in_a_new_kernel(notebook: FakeNotebook, cells: Cells) -> Paths:
    fresh = FakeNotebook(notebook.sandbox)
    fresh.run_all(*cells)
    found = paths(fresh.session.registry, cells)
    fresh.close()
    return found


def run_from_the_start(notebook: FakeNotebook, cells: Cells) -> None:
    """As after the cell that loads the extension."""
    notebook.session.rebuild()
    notebook.run_all(*cells)
    notebook.session.rebuilt()


EDITS: dict[str, tuple[str, str]] = {
    "nothing": ("abc", "abc"),
    "inserted after the first": ("abc", "axbc"),
    "inserted before the last": ("abc", "abxc"),
    "inserted at the end": ("abc", "abcx"),
    "two inserted": ("abc", "axybc"),
    "deleted in the middle": ("abc", "ac"),
    "deleted at the end": ("abc", "ab"),
    "moved up": ("abcd", "acbd"),
    "moved down": ("abcd", "acdb"),
    "split": ("abc", "aBbc"),  # JupyterLab gives the upper part a new id
    "copied": ("abc", "abAc"),
    "merged": ("abcd", "abd"),
    "inserted, moved and deleted": ("abcde", "axdce"),
}

FIRST = {
    "inserted at the start": ("abc", "xabc"),
    "deleted at the start": ("abc", "bc"),
    "moved to the start": ("abc", "cab"),
    "the first one split": ("abc", "Aabc"),
    "reversed": ("abcd", "dcba"),
}


@pytest.mark.parametrize(("before", "after"), EDITS.values(), ids=list(EDITS))
def test_cells_run_one_by_one_from_top_to_bottom_give_what_a_new_kernel_gives(
    notebook: FakeNotebook, before: str, after: str
) -> None:
    """The front end names no deleted cells, and the first cell is still the first."""
    notebook.run_all(*before)
    notebook.run_all(*after)
    assert paths(notebook.session.registry, after) == one_after_the_other(after)
    assert notebook.remote == [f"question of {cell}" for cell in after]


@pytest.mark.parametrize(("before", "after"), (EDITS | FIRST).values(), ids=[*EDITS, *FIRST])
def test_run_all_from_the_start_gives_what_a_new_kernel_gives(
    notebook: FakeNotebook, before: str, after: str
) -> None:
    """Also if another cell is the first now; and nothing is said about stale turns."""
    notebook.run_all(*before)
    run_from_the_start(notebook, after)
    assert paths(notebook.session.registry, after) == one_after_the_other(after)
    assert notebook.remote == [f"question of {cell}" for cell in after]
    assert not [note for note in notebook.notes if "stale" in note or "Continues" in note]
    run_from_the_start(notebook, after)
    assert len(notebook.tree.turns) == len({*before, *after}), "a second run adds nothing"


PLOTS = {"conversation": "plots"}
SEVERAL = {
    "a cell inserted in one": (
        ["a", Cell("p", "plot", PLOTS), "q", Cell("m", "back", {"conversation": "main"}), "b"],
        ["a", "x", Cell("p", "plot", PLOTS), "q", "y", Cell("m", "back", {"conversation": "main"})],
    ),
    "the switching cell deleted": (["a", Cell("p", "plot", PLOTS), "b"], ["a", "b"]),
    "a switching cell inserted": (["a", "b"], ["a", Cell("p", "plot", PLOTS), "b"]),
    "a new one": (
        ["a", Cell("n", "new", {"new": True}), "b"],
        ["x", Cell("n", "new", {"new": True}), "a"],
    ),
    "a new one lost its name": (
        ["a", Cell("n", "new", {"new": True, "conversation": "plots"}), "b"],
        ["a", Cell("n", "new", {"new": True}), "b"],
    ),
    "the cell of a new one was run first": (
        [Cell("n", "new", {"new": True})],
        ["a", "b", Cell("n", "new", {"new": True}), "c"],
    ),
    "a new one is the first now": (["a", "b"], [Cell("b", "new", {"new": True}), "c"]),
    "the cell of a new one follows another conversation": (
        [Cell("n", "new", {"new": True})],
        [Cell("p", "plot", PLOTS), Cell("n", "new", {"new": True})],
    ),
    "main is asked in before and after a new one": (
        [Cell("m", "back", {"conversation": "main"})],
        [Cell("n", "new", {"new": True}), Cell("m", "back", {"conversation": "main"})],
    ),
    "one of two new ones deleted": (
        ["a", Cell("n", "new", {"new": True}), Cell("o", "newer", {"new": True})],
        ["a", Cell("o", "newer", {"new": True}), "b"],
    ),
    "a branch": (
        [Cell("a", "one", {"name": "one"}), "b", Cell("x", "other", {"after": "one"}), "c"],
        [Cell("a", "one", {"name": "one"}), "y", Cell("x", "other", {"after": "one"}), "c"],
    ),
}


@pytest.mark.parametrize(("before", "after"), SEVERAL.values(), ids=list(SEVERAL))
def test_run_all_from_the_start_with_several_conversations(
    notebook: FakeNotebook, before: Cells, after: Cells
) -> None:
    """A cell asks in the conversation in which it asks in a new kernel."""
    notebook.run_all(*before)
    for _ in range(2):
        run_from_the_start(notebook, after)
        assert paths(notebook.session.registry, after) == in_a_new_kernel(notebook, after)


def test_run_all_from_the_start_with_two_services(notebook: FakeNotebook) -> None:
    """The conversations of both are built again, the second's from its first question on, too."""
    session = notebook.session

    def run_both(first: str, second: str) -> None:
        session.connect("aeronpay", **addresses[0])
        notebook.run_all(*first)
        session.connect("aeronpay", **addresses[1])
        notebook.run_all(*second)

    with Sandbox() as other:
        addresses = [
            {"base_url": one.aeronpay_url, "client_id": "me", "client_secret": "mine"}
            for one in (notebook.sandbox, other)
        ]
        run_both("a", "bc")
        session.rebuild()
        run_both("xa", "xbc")
        session.rebuilt()
        assert paths(session.registry, "xbc") == one_after_the_other("xbc")
        session.connect("aeronpay", **addresses[0])
        assert paths(session.registry, "xa") == one_after_the_other("xa")
        session.mark_deleted({"b"})
        session.connect("aeronpay", **addresses[1])
        notebook.run("c")
        assert paths(session.registry, "xc") == one_after_the_other("xc")


@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True), max_size=5),
    st.lists(st.sampled_from("abcdef"), max_size=8),
)
@settings(max_examples=200)
def test_any_edits_then_run_all(runs: list[list[str]], single: list[str]) -> None:
    """Whatever was run before, in whatever order, with questions of the panel in between."""

    def ask(registry: ConversationRegistry, cell: str | None) -> Turn:
        nonlocal count
        count += 1
        pending = registry.start(registry.position_for(cell=cell), f"question of {cell}")
        return registry.finish(pending, Reply("so", context_token=f"token {count}"))[0]

    count = 0
    live = ConversationRegistry(clock=lambda: float(count))
    for cell in single:
        ask(live, cell if cell != "f" else None)
    for cells in runs:
        live.rebuild()
        for cell in cells:
            ask(live, cell)
        live.rebuilt()
        fresh = ConversationRegistry(clock=lambda: float(count))
        for cell in cells:
            ask(fresh, cell)
        assert paths(live, cells) == paths(fresh, cells)
    for turn in live.current:
        assert turn in turn.path()  # there is no circle


def random_cell(chance: random.Random, number: int) -> Cell:
    options: list[dict[str, Any]] = [
        *({}, {}, {}, {"new": True}, {"new": True}, {"after": "p"}),
        *({"use": "plots"}, {"use": "main"}, {"forget": "plots"}),
        *({"conversation": name} for name in ("main", "plots", "conversation-2")),
        {"conversation": "plots", "new": True},
    ]
    chosen = chance.choice(options)
    if not {"use", "forget"} & chosen.keys() and chance.random() < 0.2:
        chosen = {**chosen, "name": chance.choice("pq")}
    return Cell(f"c{number}", f"question {number}", chosen)


def edit(chance: random.Random, cells: list[Cell], number: int) -> Cell | None:
    """Insert, copy, move, change or delete a cell; the one that was deleted."""
    at, made = chance.randrange(len(cells)), random_cell(chance, number)
    match chance.choice(("insert", "copy", "move", "change", "delete")):
        case "insert":
            cells.insert(at, made)
        case "copy":
            cells.insert(at, replace(chance.choice(cells), id=made.id))
        case "move":
            cells.insert(at, cells.pop(chance.randrange(len(cells))))
        case "change":
            cells[at] = replace(made, id=cells[at].id)
        case "delete" if cells[1:]:
            return cells.pop(at)
    return None


def run_cells(registry: ConversationRegistry, cells: Sequence[Cell]) -> Paths | None:
    """The paths of the cells' turns; None if one continues a turn that is not there yet."""
    found: Paths = {}
    for cell in cells:
        if name := cell.options.get("use"):
            known = name in registry.conversations
            registry.use(name) if known else registry.new(name)
            continue
        if name := cell.options.get("forget"):
            registry.forget(name) if name in registry.conversations else None
            continue
        try:
            position = registry.position_for(cell=cell.id, **cell.options)
        except UsageError:
            return None
        pending = registry.start(position, cell.question)
        turn, _ = registry.finish(pending, Reply("so", context_token=f"token {next(TOKENS)}"))
        found[cell.id or ""] = (position.tree.name, [one.question for one in turn.path()])
    return found


TOKENS = itertools.count()


@pytest.mark.parametrize("block", range(10))
def test_random_edits_of_cells_with_options_then_run_all(block: int) -> None:
    """Also with cells run alone in between; explicit places are compared where a new kernel has
    the turn that is named."""
    for seed in range(100 * block, 100 * block + 100):
        chance, numbers = random.Random(seed), itertools.count()
        live = ConversationRegistry(clock=lambda: float(next(TOKENS)))
        cells = [random_cell(chance, next(numbers)) for _ in range(chance.randint(2, 5))]
        for _ in range(4):
            run_cells(live, [chance.choice(cells)])
            live.rebuild()
            found = run_cells(live, cells)
            live.rebuilt()
            expected = run_cells(ConversationRegistry(), cells)
            if expected is None:
                break
            assert found == expected, f"history {seed}"
            for _ in range(chance.randint(0, 3)):
                deleted = edit(chance, cells, next(numbers))
                if deleted is not None and chance.random() < 0.5:
                    live.mark_deleted({deleted.id or ""})


def test_use_after_a_deleted_conversation_continues_what_was_asked_in_the_run() -> None:
    options = [{"new": True}, {"conversation": "plots"}, {"forget": "plots"}, {"use": "main"}, {}]
    cells = [Cell(f"c{at}", f"question {at}", one) for at, one in enumerate(options)]
    live = ConversationRegistry(clock=lambda: float(next(TOKENS)))
    run_cells(live, [*cells, Cell("last", "the newest")])
    live.rebuild()
    assert run_cells(live, cells) == run_cells(ConversationRegistry(), cells)


def test_use_in_a_run_continues_nothing_of_before_if_the_clock_was_set_back() -> None:
    names = ["", "plots", "", "plots"]
    cells = [
        Cell(f"c{at}", f"question {at}", {"use": name} if name else {})
        for at, name in enumerate(names)
    ]
    moment = 5_000.0
    live = ConversationRegistry(clock=lambda: moment)
    run_cells(live, [*cells, Cell("last", "the newest")])
    moment = 100.0
    live.rebuild()
    cells.insert(2, Cell("new", "inserted"))
    assert run_cells(live, cells) == run_cells(ConversationRegistry(), cells)


@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_replies_that_are_cut_in_a_run_of_all_cells(service: str) -> None:
    """What follows is asked where a new kernel asks it, also after an earlier complete reply."""

    def run(registry: ConversationRegistry, cells: Sequence[Cell], cut: set[str]) -> Paths:
        found: Paths = {}
        for cell in cells:
            position = registry.position_for(cell=cell.id, **cell.options)
            token = f"token {next(TOKENS)}"
            if service == "chatzy":
                token = position.token or token
            status: Status = "incomplete" if cell.id in cut else "complete"
            pending = registry.start(position, cell.question)
            turn, _ = registry.finish(pending, Reply("so", status, token, service=service))
            if status == "complete":
                is_first = turn.parent_token is None
                asked = [one.question for one in turn.path()]
                found[cell.id or ""] = (position.tree.name, ["(starts)"] * is_first + asked)
        return found

    for seed in range(300):
        chance = random.Random(seed)
        options = [{}, {}, {"new": True}, {"conversation": "plots"}]
        cells = [Cell(f"c{n}", f"question {n}", chance.choice(options)) for n in range(4)]
        live = ConversationRegistry(service, clock=lambda: float(next(TOKENS)))
        for _ in range(3):
            cut = {cell.id or "" for cell in cells if chance.random() < 0.3}
            live.rebuild()
            found = run(live, cells, cut)
            live.rebuilt()
            assert found == run(ConversationRegistry(service), cells, cut), f"history {seed}"


def test_a_run_of_all_cells_keeps_where_another_conversation_of_chatzy_was_cut() -> None:
    live = ConversationRegistry("chatzy")

    def ask(token: str, *, new: bool = False) -> None:
        pending = live.start(live.position_for(cell=token, new=new), "why?")
        live.finish(pending, Reply("so", "incomplete", token, service="chatzy"))

    ask("before")
    live.rebuild()
    ask("in the run")
    live.new("main")
    live.rebuilt()
    assert live.current.current_token == "before"


def test_a_run_of_all_cells_does_not_restart_a_chat_of_the_panel(notebook: FakeNotebook) -> None:
    cells = ["a", Cell("n", "new", {"new": True})]
    notebook.run("a")
    chat = notebook.session.new()
    notebook.run(Cell(None, "typed"))
    run_from_the_start(notebook, cells)
    assert notebook.tree is not chat
    assert [turn.question for turn in chat] == ["typed"]


@pytest.mark.parametrize("why", ["failed", "started over"])
def test_cells_one_by_one_where_there_are_several_starts(notebook: FakeNotebook, why: str) -> None:
    """After a first question that failed, and after ``context_token = None``."""

    def run_all() -> None:
        notebook.run_all("a", "b")
        if why == "started over":
            notebook.context_token = None
        notebook.run_all("c", "d")

    if why == "failed":
        notebook.sandbox.set_faults(refuse=[Refusal("create-response", 403)])
        notebook.fails("a")
        notebook.run_all("b")
    else:
        run_all()
    run_all()
    found = paths(notebook.session.registry, "abcd")
    if why == "failed":
        assert found == one_after_the_other("abcd")
    else:
        assert found == one_after_the_other("ab") | one_after_the_other("cd")


# One cell alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", list("abc"))
def test_one_cell_run_again_alone_keeps_its_place(notebook: FakeNotebook, cell: str) -> None:
    notebook.run_all(*"abc")
    before = paths(notebook.session.registry, "abc")
    notebook.run(cell)
    assert paths(notebook.session.registry, "abc") == before


def test_a_cell_that_is_run_after_an_earlier_one_follows_it(notebook: FakeNotebook) -> None:
    """As the variables of a notebook do; a note says so."""
    notebook.run_all(*"abcd")
    notebook.run("b")
    notebook.run("d")
    assert shape(notebook.tree) == ["1", "2<1", "3<2 stale", "4<2*"]
    assert "Continues after turn 2." in notebook.notes


def test_a_branch_does_not_move_other_cells(notebook: FakeNotebook) -> None:
    """The cell at the end of the main line keeps its place."""
    branch = Cell("x", "instead", {"after": "1"})
    notebook.run_all("a", "b", "c", branch)
    notebook.run("c")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*", "4<1"]
    notebook.run_all(branch, "more")
    notebook.run("c")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*", "4<1", "5<4"]


def test_a_question_of_the_panel_in_between_is_not_part_of_run_all(notebook: FakeNotebook) -> None:
    """It stays where it is, and the cells follow each other as in a new kernel."""
    notebook.run_all("a", "b", Cell(None, "from the panel"), "c")
    assert shape(notebook.tree) == ["1", "2<1", "3<2", "4<3*"]
    run_from_the_start(notebook, "abc")
    assert shape(notebook.tree) == ["1", "2<1", "3<2 stale", "4<2*"]
    notebook.run(Cell(None, "from the panel again"))
    assert shape(notebook.tree)[-1] == "5<4*"


def test_the_first_turn_that_is_asked_again_stays_the_first(notebook: FakeNotebook) -> None:
    """One line says so, and how it would not: two cells may have been run in the wrong order."""
    notebook.run_all(*"ba")
    notebook.run("b")
    assert shape(notebook.tree) == ["1*", "2<1 stale"]
    assert "It is still the first turn; --after 2 asks it after that one." in notebook.notes
    is_new = "It has begun a new conversation at the service." in notebook.notes
    assert is_new is (notebook.tree.service == "chatzy")
    notebook.run("a")
    notebook.run(Cell("b", "question of b", {"after": "2"}))
    assert shape(notebook.tree)[-1] == "3<2*"


# Deleted cells -------------------------------------------------------------------------------


def test_nothing_continues_from_a_deleted_cell(notebook: FakeNotebook) -> None:
    """Neither a new question, nor the one after it, nor the first after a deleted first one."""
    notebook.run_all(*"abc")
    notebook.session.registry.mark_deleted(["c"])
    notebook.run("d")
    assert shape(notebook.tree) == ["1", "2<1", "3<2", "4<2*"]
    notebook.session.registry.mark_deleted(["a"])
    notebook.run("b")
    assert shape(notebook.tree) == ["1", "2*", "3<2 stale", "4<2 stale"]
    assert not any("3" in note for note in notebook.notes), "it cannot be run again"


def test_requests_that_are_sent_at_once_name_a_deleted_cell_once(notebook: FakeNotebook) -> None:
    """JupyterLab names it in each of them; the cell may have been run again by then."""
    notebook.run_all(*"abc")
    metadata: dict[str, object] = {"deletedCells": ["b", 7]}
    shell = SimpleNamespace(kernel=True, get_parent=lambda: {"metadata": metadata})
    order = RunOrder(shell, None)
    order.session = notebook.session

    def is_deleted() -> bool:
        order.follow()
        turn = notebook.tree.by_cell("b")
        return turn is not None and turn.deleted

    assert is_deleted()
    notebook.run("b")
    assert not is_deleted()
    metadata["deletedCells"] = None
    assert not is_deleted()
    metadata["deletedCells"] = ["b"]
    assert is_deleted()


def test_a_cell_that_is_run_a_second_time_ends_the_run(notebook: FakeNotebook) -> None:
    """Also at once, from the keyboard; but not what a front end runs between cells."""
    shell = SimpleNamespace(kernel=True, get_parent=dict)
    order = RunOrder(shell, "load")
    order.session = notebook.session
    seen = []
    for cell in ("load", None, "a", None, "b", "a", "b", "load", "a"):
        order.before_cell(SimpleNamespace(cell_id=cell))
        order.follow()
        order.after_cell(None)
        seen.append(notebook.session.registry.is_rebuilding)
    assert seen == [True] * 5 + [False] * 2 + [True] * 2


def test_a_cell_that_is_pasted_again_is_there_again(notebook: FakeNotebook) -> None:
    """JupyterLab names a cell as deleted that was cut and pasted elsewhere."""
    notebook.run_all(*"abc")
    notebook.session.registry.mark_deleted(["b"])
    notebook.run_all(*"acb")
    assert paths(notebook.session.registry, "acb") == in_a_new_kernel(notebook, "acb")
    notebook.run("d")
    assert notebook.remote[-2:] == ["question of b", "question of d"]


def test_all_questions_of_a_deleted_cell_are_deleted(notebook: FakeNotebook) -> None:
    """A cell can ask several."""
    notebook.run_all("a", "b", "b#1", "b#2")
    notebook.session.registry.mark_deleted(["b"])
    notebook.run("c")
    assert shape(notebook.tree)[-1] == "5<1*"


# Names ---------------------------------------------------------------------------------------

WHY = Cell("b", "question of b", {"name": "why"})
COPY = Cell("d", "question of d", {"name": "why"})
FROM_WHY = Cell("e", "question of e", {"after": "why"})


def test_a_name_that_another_cell_gives_moves_to_its_turn(notebook: FakeNotebook) -> None:
    """No turn is lost, and one line says so; that is so in a new kernel, too."""
    notebook.run_all("a", WHY, COPY)
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert [turn.name for turn in notebook.tree] == [None, None, "why"]
    moved = ["The name why was that of turn 2; it is now that of turn 3."]
    assert notebook.notes[-1:] == moved
    notebook.run(COPY)
    assert not any("name" in note for note in notebook.notes)
    notebook.session.rebuild()
    notebook.run_all("a", WHY)
    assert not any("name" in note for note in notebook.notes)
    notebook.run(COPY)
    assert notebook.notes[-1:] == moved


@pytest.mark.parametrize(
    "cells",
    [("a", WHY, COPY), ("a", COPY), (COPY, "a", "c"), ("a", COPY, WHY, "c"), ("a", COPY, FROM_WHY)],
)
@pytest.mark.parametrize("deleted", [[], ["b"]])
def test_named_cells_that_were_copied_moved_or_made_again(
    notebook: FakeNotebook, cells: Cells, deleted: list[str]
) -> None:
    """A front end may name the cells that were deleted, or not."""
    notebook.run_all("a", WHY, "c")
    notebook.session.registry.mark_deleted(deleted)
    run_from_the_start(notebook, cells)
    assert paths(notebook.session.registry, cells) == in_a_new_kernel(notebook, cells)


# Notes ---------------------------------------------------------------------------------------


def test_a_note_names_the_turns_that_became_stale_and_where_the_next_question_continues(
    notebook: FakeNotebook,
) -> None:
    """At the moment it happens, and not again."""
    notebook.run_all(*"abcd")
    assert notebook.notes == []
    notebook.run("b")
    own = [note for note in notebook.notes if "one token" not in note]
    assert own == [
        "Turns 3 and 4 are stale now; run their cells again.",
        "The next question continues after turn 2.",
    ]
    notebook.run("z")
    own = [note for note in notebook.notes if "one token" not in note]
    assert own == ["Continues after turn 2."]
    notebook.run("z")
    assert [note for note in notebook.notes if "stale" in note] == []


def test_a_question_after_an_incomplete_reply_says_what_it_continues(
    notebook: FakeNotebook,
) -> None:
    """The reply above it was shown, but cannot be continued."""
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    notebook.run("b", interrupt=True)
    notebook.sandbox.set_faults(say="So it is.", stall_after=None)
    notebook.run("c")
    assert notebook.tree.turns[1].status == "interrupted"
    assert "Continues after turn 1." in notebook.notes


def test_one_stale_turn_is_named_alone_and_many_are_counted(notebook: FakeNotebook) -> None:
    notebook.run_all(*"ab")
    notebook.run("a")
    assert "Turn 2 is stale now; run its cell again." in notebook.notes
    notebook.run_all(*"bcdefghijkl")
    notebook.run("a")
    assert any("8, 9 and 3 more are stale" in note for note in notebook.notes), notebook.notes


# The run from the start ------------------------------------------------------------------------


def test_a_run_that_asks_nothing_changes_nothing(notebook: FakeNotebook) -> None:
    """The first cell alone was run again, such as after a change of an import."""
    notebook.run_all("a", "b", Cell("p", "plot", PLOTS), "q")
    token = notebook.context_token
    notebook.session.rebuild()
    notebook.session.rebuilt()
    notebook.run("z")
    assert notebook.tokens[-1] == token
    assert notebook.tree.name == "plots"


def test_a_conversation_that_is_deleted_in_a_run_does_not_come_back(notebook: FakeNotebook) -> None:
    notebook.run("a")
    notebook.session.rebuild()
    notebook.session.forget(notebook.tree)
    notebook.session.rebuilt()
    notebook.run("b")
    assert notebook.tree is notebook.session.registry.conversations["main"]
    assert [turn.question for turn in notebook.tree] == ["question of b"]


def test_a_failed_first_question_of_a_run_changes_nothing(notebook: FakeNotebook) -> None:
    notebook.run_all(*"abc")
    notebook.session.rebuild()
    notebook.sandbox.set_faults(refuse=(Refusal("create-response", 500),))
    notebook.fails("a")
    notebook.session.rebuilt()
    notebook.run("z")
    assert shape(notebook.tree) == ["1", "2<1", "3<2", "4<3*"]


def test_an_assigned_token_wins_during_a_run_from_the_start(sandbox: Sandbox) -> None:
    notebook = FakeNotebook(sandbox)
    notebook.run_all(*"ab")
    notebook.context_token = notebook.received(0)
    run_from_the_start(notebook, "x")
    assert notebook.tokens[-1] == notebook.received(0)
    notebook.close()


def test_the_variable_is_empty_before_the_first_question_of_a_run(notebook: FakeNotebook) -> None:
    """As in a new kernel."""
    notebook.run_all(*"ab")
    notebook.session.rebuild()
    assert notebook.context_token is None
