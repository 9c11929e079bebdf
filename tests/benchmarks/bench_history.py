"""A local history of 10,000 turns: to open it, to list it, to take its conversation up.

Once as one conversation of 10,000 turns, which is the worst that a notebook can be, and once as
200 conversations. Questions and replies have lengths as people and services write them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import Measure

from aeron_magic.book import Book
from aeron_magic.history import History, Owner
from aeron_magic.history_file import announced
from aeron_magic.jupyter.overview import MOST, TURNS, tree_text, turn_rows
from aeron_magic.jupyter.show import aligned, table
from aeron_magic.render import mimebundle
from aeron_magic.reply import Reply
from aeron_magic.turns import Tree

TITLE = "History: 10,000 turns"

TURNS_IN_ALL = 10_000
OWNER = Owner("/home/me/work.ipynb", "https://example.org/ai", False)
QUESTION = "What does the seventh column of the table mean, and how does it change over the year?"
ANSWER = "It is the mean of the quarter, and it rises with the number of visitors. " * 12


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
    return found


def _fill(path: Path, conversations: int) -> float:
    """Write the turns as a session does; the median CPU time of a question, in ms."""
    history = History(path)
    times = []
    for _ in range(conversations):
        book = Book("aeronpay")
        for number in range(TURNS_IN_ALL // conversations):
            if number % 100 == 99:
                book.current.head = book.current.turns[number // 2]  # a branch now and then
            attempt = book.begin(book.place(), QUESTION, cell=f"cell {number}")
            began = time.process_time()
            history.asked(attempt, OWNER)
            history.started(attempt, f"apay_{number:048}")
            spent = time.process_time() - began
            turn = book.settle(attempt, Reply(ANSWER, "complete", f"apay_{number:048}"))
            began = time.process_time()
            history.ended(attempt, turn, OWNER)
            times.append(spent + time.process_time() - began)
    history.close()
    return statistics.median(times[-100:]) * 1000


def _reading(path: Path, shape: str, rounds: int) -> list[Measure]:
    def listed() -> None:
        history = History(path)
        history.conversations(OWNER.notebook)
        history.close()

    def shown() -> None:
        history = History(path)
        tree = history.load(history.conversations(OWNER.notebook)[0], MOST)
        rows = turn_rows(tree.turns[-MOST:], tree.stale())
        aligned(TURNS, rows)
        history.close()

    def taken_up() -> Tree:
        history = History(path)
        tree = history.load(history.conversations(OWNER.notebook)[0])
        history.close()
        return tree

    tree = taken_up()
    rows = turn_rows(tree.turns[-MOST:], tree.stale())
    mimebundle(table(TURNS, rows))  # what it imports is not its own cost
    work: dict[str, tuple[Callable[[], object], float | None]] = {
        "say on loading that there is a past": (lambda: announced(path, OWNER.notebook), 5),
        "open and list the conversations": (listed, 100),
        "open, and list the newest one's turns": (shown, 100),
        "open, and take the newest one up": (taken_up, 250),
        "the list as HTML": (lambda: mimebundle(table(TURNS, rows)), None),
        "its tree": (lambda: tree_text(tree), 100),
    }
    return [
        Measure(f"as {shape}", name, _median(act, rounds), "ms CPU", most)
        for name, (act, most) in work.items()
    ]


def _median(act: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return statistics.median(times) * 1000
