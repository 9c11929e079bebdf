"""A local history of 10,000 turns: to open it, to list it, to take its conversation up; and a
recording of as many: to open it, to find one.

The history once as one conversation of 10,000 turns, which is the worst that a notebook can be, and
once as 200 conversations. Questions and replies have lengths as people and services write them.
Memory is the most that Python's objects took meanwhile.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from measure import Measure
from records import make_record

from aeron_magic.conversations.history import HistoryScope, HistoryStore
from aeron_magic.conversations.history_db import resume_hint
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.jupyter.display.tables import MAX_TURNS, tree_text, turns_table
from aeron_magic.recording.cassette import Cassette
from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.replies.reply import Reply

TITLE = "History and recordings: 10,000 turns"

TURNS_IN_ALL = 10_000
OWNER = HistoryScope("/home/me/work.ipynb", "https://example.org/ai", False)
QUESTION = "What does the seventh column of the table mean, and how does it change over the year?"
ANSWER = "It is the mean of the quarter, and it rises with the number of visitors. " * 12


Work = dict[str, tuple[Callable[[], object], float | None]]
"""What to do, and the most it should take, by name."""


def run(quick: bool) -> list[Measure]:
    """Rows of both shapes, and what a question's own writes cost."""
    rounds = 3 if quick else 9
    found: list[Measure] = []
    with tempfile.TemporaryDirectory() as folder:
        for conversations in (1, 200):
            path = Path(folder) / f"{conversations}.sqlite3"
            writing = _fill(path, conversations)
            shape = f"{conversations} conversation{'s' * (conversations > 1)}"
            found += _reading(path, shape, rounds)
            found.append(
                Measure(f"as {shape}", "keep a question: its three writes", writing, "ms CPU", 5)
            )
        found += _recording(Path(folder) / "recording.jsonl", rounds)
    return found


def _fill(path: Path, conversations: int) -> float:
    """Write the turns as a session does; the median CPU time of a question, in ms."""
    history = HistoryStore(path)
    times = []
    for _ in range(conversations):
        registry = ConversationRegistry("aeronpay")
        for number in range(TURNS_IN_ALL // conversations):
            if number % 100 == 99:
                registry.current.head = registry.current.turns[number // 2]  # a branch now and then
            attempt = registry.start(registry.position_for(cell=f"cell {number}"), QUESTION)
            began = time.process_time()
            history.save_pending(attempt, OWNER)
            history.save_token(attempt, f"apay_{number:048}")
            spent = time.process_time() - began
            turn, _ = registry.finish(attempt, Reply(ANSWER, "complete", f"apay_{number:048}"))
            began = time.process_time()
            history.save_turn(attempt, turn, OWNER)
            times.append(spent + time.process_time() - began)
    history.close()
    return statistics.median(times[-100:]) * 1000


def _reading(path: Path, shape: str, rounds: int) -> list[Measure]:
    def listed() -> None:
        history = HistoryStore(path)
        history.conversations(OWNER.notebook)
        history.close()

    def shown() -> None:
        history = HistoryStore(path)
        tree = history.load(history.conversations(OWNER.notebook)[0])
        assert turns_table(tree, tree.turns[-MAX_TURNS:], tree.stale()).plain
        history.close()

    def taken_up() -> ConversationTree:
        history = HistoryStore(path)
        tree = history.load(history.conversations(OWNER.notebook)[0])
        history.close()
        return tree

    tree = taken_up()
    table = turns_table(tree, tree.turns[-MAX_TURNS:], tree.stale())
    mimebundle(table.markdown)  # what it imports is not its own cost
    work: Work = {
        "say on loading that there is a past": (lambda: resume_hint(path, OWNER.notebook), 5),
        "open and list the conversations": (listed, 100),
        "open, and list the newest one's turns": (shown, 150),
        "open, and take the newest one up": (taken_up, 150),
        "the list as HTML": (lambda: mimebundle(table.markdown), None),
        "its tree": (lambda: tree_text(tree), 100),
    }
    memory: Work = {
        "memory: open and list the conversations": (listed, 1),
        "memory: open, and take the newest one up": (taken_up, None),
    }
    return [*_times(f"as {shape}", work, rounds), *_peaks(f"as {shape}", memory)]


def _recording(path: Path, rounds: int) -> list[Measure]:
    """A conversation whose replies came in some hundred chunks each."""
    events: list[list[object]] = [[20, f"{word} "] for word in ANSWER.split()]
    keys = [""]
    with path.open("w", encoding="utf-8") as file:
        for number in range(TURNS_IN_ALL):
            question = f"{QUESTION} ({number})"
            record = make_record("aeronpay", question, *events, after=keys[-1])
            keys.append(record.key)
            file.write(f"{record.to_json_line()}\n")
    cassette = Cassette(path)

    def found() -> None:
        assert Cassette(path).find(keys[7_777]) is not None

    work: Work = {
        "open, and find one": (found, 100),
        "find another": (lambda: cassette.find(keys[5_555]), 5),
        "the questions, where one is missed": (cassette.questions, 200),
    }
    name = f"a recording of {path.stat().st_size / 1e6:.0f} MB"
    return [
        *_times(name, work, rounds),
        *_peaks(name, {"memory: open, and find one": (found, 6)}),
    ]


def _times(what: str, work: Work, rounds: int) -> list[Measure]:
    return [
        Measure(what, name, _median(act, rounds), "ms CPU", most)
        for name, (act, most) in work.items()
    ]


def _peaks(what: str, work: Work) -> list[Measure]:
    return [Measure(what, name, _peak(act), "MB", most) for name, (act, most) in work.items()]


def _peak(act: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def _median(act: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return statistics.median(times) * 1000
