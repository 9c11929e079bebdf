"""Recordings, histories and checkpoints that another person has made or damaged.

Valid files are mutated at random (bytes, JSON values, SQLite rows and schemas) and read by all that
reads them. A violation is an exception that is not an AeronError, a case that takes longer than
``LIMIT`` seconds, a shown text with control characters, code from data in an exported notebook, or
more memory than ``MAX_MEMORY`` MiB for the whole campaign.

    python tests/campaigns/hostile_files.py [--quick] [--seed N]
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import random
import resource
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from records import make_record

from aeron_magic.conversations.export import export_text
from aeron_magic.conversations.history import HistoryScope, HistoryStore
from aeron_magic.conversations.history_db import resume_hint
from aeron_magic.conversations.kept_rows import KeptRows
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.errors import AeronError
from aeron_magic.protocol.events import Completed, Started
from aeron_magic.protocol.flow import Flow, Question, Sleep
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.record import Record, placeholder_token, turn_key
from aeron_magic.recording.recorder import MAX_RESENT, Mode, Recorder
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply
from aeron_magic.session.recordings import damage_note

LIMIT = 12.0
MAX_MEMORY = 600
NOTEBOOK = "/home/me/work.ipynb"

SCOPE = HistoryScope(NOTEBOOK, "https://example.org/ai", False)

VALUES: list[Any] = [
    None, True, False, -1, 0, 1e308, 10**30, 2**63, "", "x", "\x1b]0;t\x07", "\u202e", "a\nb",
    "<img src=x onerror=alert(1)>", "{{x}}", "'\"", "\ud800", [], {}, [[]], {"event": "evil"},
    {"event": "completed", "text": 5}, [0, "x", "y"], "x" * 100_000, [0] * 10_000, "aeronpay",
    "chatzy/../..", "https://evil.example", "javascript:alert(1)", 9_999_999_999_999, 1, 2, 3,
]  # fmt: skip
PIECES = [
    b"\x00", b"\xff\xfe", b"\n", b"[" * 5_000, b'{"a":' * 2_000, b'"', b"\\ud800", b"1e999", b"NaN",
    b"}", b"\x1b[2J", b"\xe2\x80\xa8", b"9" * 5_000,
]  # fmt: skip


class Violation(Exception):
    """What must not happen."""


@contextlib.contextmanager
def limited(seconds: float = LIMIT) -> Iterator[None]:
    """Raise Violation after so long."""

    def late(*_: object) -> None:
        raise Violation(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def shown(text: str) -> None:
    """Check a text that a user sees."""
    if any((ord(sign) < 32 and sign not in "\n\t") or sign in "\x7f\x9b\u202e" for sign in text):
        raise Violation(f"control characters are shown: {text[:80]!r}")


def attempt(call: Callable[[], object]) -> object:
    """Call, and check the text of an AeronError; other exceptions are violations."""
    try:
        return call()
    except AeronError as error:
        shown("\n".join(error.lines()))
        return None


# Mutations ---------------------------------------------------------------------------------


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """Change a few places."""
    for _ in range(chance.randint(1, 4)):
        at, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        end = min(end, at + chance.choice([0, 1, 8, 500]))
        new = chance.choice([b"", bytes([chance.randrange(256)]), chance.choice(PIECES)])
        data = data[:at] + new + data[end:]
    return data


def mutate_json(value: Any, chance: random.Random) -> Any:
    """Replace, remove or add a value somewhere."""
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        value = value.copy()
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = chance.choice(keys)
        if chance.random() < 0.15:
            del value[key]
        elif isinstance(value, dict) and chance.random() < 0.1:
            value[chance.choice(["", "x", "event", "key", "\x1b"])] = chance.choice(VALUES)
        else:
            value[key] = mutate_json(value[key], chance)
        return value
    return chance.choice(VALUES)


# Recordings --------------------------------------------------------------------------------


def records() -> list[Record]:
    """A chain of turns and some alone, with all kinds of events and errors."""
    made, parent = [], ""
    for number in range(6):
        made.append(
            make_record(
                "aeronpay", f"question {number}",
                [5, "yes "], [3, "and", 1], [0, {"event": "recovering", "reason": "lost"}],
                [1, {"event": "completed", "recovered": True}],
                after=parent,
            )
        )  # fmt: skip
        parent = made[-1].key
    made.append(
        make_record(
            "chatzy/725e1f05-6142-467e-bdec-47862d50da79", "fails",
            [1, {"event": "introduced", "text": "Hi", "buttons": ["a"]}],
            [1, {"event": "tool called"}],
            status="failed",
            error={"type": "FailedReply", "message": "It failed.", "status_code": 500},
        )
    )  # fmt: skip
    return made


def mutated_recording(chance: random.Random) -> bytes:
    """A recording that is damaged, or made by an attacker who computes the keys."""
    lines = []
    for record in records():
        line = record.to_json_line()
        if chance.random() < 0.6:
            fields = mutate_json(json.loads(line), chance)
            if isinstance(fields, dict) and chance.random() < 0.7:
                with contextlib.suppress(Exception):
                    fields["key"] = turn_key(
                        fields["service"], fields["question"], fields.get("images", ()),
                        fields["after"],
                    )  # fmt: skip
            line = json.dumps(fields, separators=(",", ":"))
        lines.append(line.encode(errors="surrogatepass"))
    data = b"\n".join(lines) + b"\n"
    return mutate_bytes(data, chance) if chance.random() < 0.4 else data


def drive(flow: Flow[None], asked: list[Question]) -> None:
    """Run a flow without a network; its pauses are counted, not waited for."""
    accumulator, waited = ReplyAccumulator("aeronpay"), 0.0
    for step in flow:
        if isinstance(step, Sleep):
            waited += step.seconds
        elif isinstance(step, list):
            accumulator.add(step)
    accumulator.reply()
    if waited > 301:
        raise Violation(f"a replay waits {waited:.0f} s")
    if len(asked) > MAX_RESENT + 1:
        raise Violation(f"{len(asked)} questions were sent for one")


def replay(recorder: Recorder, question: Question, service: str) -> None:
    """Ask a service that answers everything."""
    asked: list[Question] = []

    def ask(sent: Question) -> Flow[None]:
        asked.append(sent)
        yield [Started(f"apay_{len(asked)}")]
        yield [Completed("yes", f"apay_{len(asked)}")]

    attempt(lambda: drive(recorder.ask(question, service, ask), asked))


def read_recording(path: Path) -> None:
    """All that reads a recording."""
    cassette = Cassette(path)
    attempt(lambda: len(cassette))
    attempt(lambda: [record.text for record in cassette])
    attempt(lambda: list(cassette.questions()))
    shown(damage_note(cassette))
    modes: tuple[Mode, ...] = ("replay", "auto")
    for mode in modes:
        for record in records():
            for question in (
                Question(record.question),
                Question("new", (), placeholder_token(record.key)),
            ):
                replay(Recorder(Cassette(path), mode), question, record.service)
    attempt(lambda: cassette.save(records()[0]))


# Histories ---------------------------------------------------------------------------------


def make_history(path: Path) -> None:
    """A valid history."""
    history = HistoryStore(path)
    registry = ConversationRegistry("aeronpay")
    for number in range(6):
        options: dict[str, Any] = {"cell": str(number), "name": f"name-{number}"}
        if number == 4:
            options["after"] = "name-1"
        pending = registry.start(registry.position_for(**options), f"why {number}?")
        history.save_pending(pending, SCOPE)
        history.save_token(pending, f"token-{number}")
        if number < 5:
            reply = Reply("**yes**", "complete", f"token-{number}", pending.turn.parent_token)
            history.save_turn(pending, registry.finish(pending, reply)[0], SCOPE)
    history.close()
    rows = KeptRows(path)
    for key in ("a", "b"):
        rows.mark_sent(key, "x")
        rows.mark_token(key, "t")
    rows.keep("a", Reply("**yes**", "complete", "t", service="aeronpay"))
    rows.close()


SCHEMAS = [
    "CREATE TRIGGER evil AFTER INSERT ON turn BEGIN DELETE FROM turn; END",
    "CREATE TRIGGER evil AFTER UPDATE ON conversation BEGIN WITH RECURSIVE n(x) AS (SELECT 1 UNION"
    " ALL SELECT x+1 FROM n) SELECT sum(x) FROM n; END",
    "CREATE TABLE more (x)",
    "CREATE INDEX evil ON turn (abs(number))",
    "ALTER TABLE turn ADD COLUMN evil GENERATED ALWAYS AS (hex(content))",
    "DROP TABLE turn",
    "DROP TABLE turn; CREATE VIEW turn AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1"
    " FROM n) SELECT x AS conversation, x AS number, '' AS content, '' AS pending, '' AS"
    " pending_token FROM n",
    "DROP TABLE conversation; CREATE VIEW conversation AS WITH RECURSIVE n(x) AS (SELECT 1 UNION"
    " ALL SELECT x+1 FROM n) SELECT x AS id, x AS notebook, x AS name, x AS service, x AS address,"
    " 0 AS sandbox, 0 AS kernel, 0 AS created_by, 1.0 AS used FROM n",
    "CREATE VIEW summary AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n)"
    " SELECT sum(x) AS name, 1.0 AS used, 1 AS turns, 'x' AS notebook FROM n",
    "PRAGMA user_version = 99",
    "PRAGMA user_version = 0",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = sql || ' --' WHERE name = 'turn'",
    "PRAGMA writable_schema = ON; INSERT INTO sqlite_master VALUES ('view', 'x', 'turn', 0,"
    " 'CREATE TRIGGER x AFTER INSERT ON turn BEGIN DELETE FROM turn; END')",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 2",
]


def mutate_history(path: Path, chance: random.Random) -> None:
    """Change rows, the schema or bytes."""
    kind = chance.random()
    if kind < 0.2:
        path.write_bytes(mutate_bytes(path.read_bytes(), chance))
        return
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if kind < 0.35:
            with contextlib.suppress(sqlite3.Error):
                connection.executescript(chance.choice(SCHEMAS))
            return
        for _ in range(chance.randint(1, 3)):
            table, columns = chance.choice(
                [
                    ("conversation", ["name", "service", "address", "sandbox", "used", "created_by",
                                      "notebook", "kernel", "id"]),
                    ("turn", ["content", "content", "content", "pending", "pending_token",
                              "number"]),
                    ("batch_row", ["key", "address", "token", "reply", "reply", "used"]),
                ]
            )  # fmt: skip
            column = chance.choice(columns)
            rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            if not rows:
                return
            row = chance.choice(rows)
            value: Any = chance.choice(VALUES)
            if column in ("content", "pending", "reply") and isinstance(row[1], str):
                document = {}
                with contextlib.suppress(ValueError):  # "{{x}}", by the mutation before
                    document = json.loads(row[1]) if row[1].startswith("{") else {}
                if chance.random() < 0.2 and document:
                    document["parent"] = chance.randint(1, 6)
                value = json.dumps(mutate_json(document, chance))
            elif isinstance(value, list | dict):
                value = json.dumps(value).encode()
            with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?",
                                   (value, row[0]))  # fmt: skip


def read_history(path: Path) -> None:
    """All that reads a history, and a question that writes to it."""
    hint = attempt(lambda: resume_hint(path, NOTEBOOK))
    shown(str(hint))
    history = HistoryStore(path)
    try:
        for stored in attempt(history.conversations) or ():  # type: ignore[attr-defined]
            shown(f"{stored.name} {stored.address} {stored.service}")
            tree: Any = attempt(lambda stored=stored: history.load(stored))  # type: ignore[misc]
            if tree is None:
                continue
            attempt(lambda tree=tree: history.unfinished(tree))  # type: ignore[misc]
            attempt(lambda stored=stored: history.claim(stored))  # type: ignore[misc]
            for turn in tree.turns:
                turn.path()
                shown(turn.label)
            tree.stale()
            for extension in (".md", ".json"):
                attempt(lambda tree=tree, to=extension: export_text(tree, to))  # type: ignore[misc]
            notebook = attempt(lambda tree=tree: export_text(tree, ".ipynb"))  # type: ignore[misc]
            if isinstance(notebook, str):
                check_notebook(notebook)
            registry = ConversationRegistry("aeronpay")
            registry.add(tree)
            pending: Any = attempt(
                lambda registry=registry: registry.start(registry.position_for(cell="n"), "new")  # type: ignore[misc]
            )
            if pending is not None:
                attempt(lambda pending=pending: history.save_pending(pending, SCOPE))  # type: ignore[misc]
        shown(history.damage_note())
    finally:
        history.close()


def check_notebook(text: str) -> None:
    """Each code cell is one call of our magics with constants."""
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse(TransformerManager().transform_cell("".join(cell["source"])))
            call = getattr(tree.body[0], "value", None)
            name = getattr(getattr(call, "func", None), "attr", "")
            if len(tree.body) != 1 or name not in ("run_cell_magic", "run_line_magic"):
                raise Violation("an exported notebook contains code from data")
            if ast.literal_eval(call.args[0]) not in ("aeron", "load_ext"):  # type: ignore[union-attr]
                raise Violation("an exported notebook calls another magic")


# Checkpoints -------------------------------------------------------------------------------


def read_rows(path: Path) -> None:
    """All that reads and writes the rows of a batch."""
    for pending in (False, True):
        rows = KeptRows(path, pending=pending)
        try:
            for key in ("a", "b"):
                state: Any = attempt(lambda rows=rows, key=key: rows.get(key, "x"))  # type: ignore[misc]
                if state is not None and not isinstance(state.token, str):
                    raise Violation("a token is not a text")
            attempt(lambda rows=rows: rows.mark_sent("c", "x"))  # type: ignore[misc]
            attempt(lambda rows=rows: rows.release("c"))  # type: ignore[misc]
        finally:
            attempt(rows.close)


# Large files -------------------------------------------------------------------------------


def large_recordings(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that are large in one respect."""
    beginning = records()[0].to_json_line().partition('"events":')[0].encode() + b'"events":['
    for name, parts in (
        ("events", [beginning, *[b'[0,""],' * 100_000] * 21, b'[0,""]]}\n']),
        ("line", [beginning, *[b'[0,"' + b"x" * 1_000_000 + b'"],'] * 100, b'[0,""]]}\n']),
        ("lines", [b"x\n" * 100_000] * 12),
        ("empty lines", [b"\n" * 1_000_000] * 12),
        ("depth", [beginning, b"[" * 5_000_000]),
    ):
        path = folder / f"{name}.jsonl"
        with path.open("wb") as file:
            file.writelines(parts)
        yield name, path
    path = folder / "sparse.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    yield "sparse", path


def read_large(path: Path) -> None:
    """Look for one turn, and list the questions."""
    cassette, question = Cassette(path), Question("not there")
    attempt(lambda: [record.text for record in cassette])
    shown(damage_note(cassette))
    replay(Recorder(cassette, "replay"), question, "aeronpay")


def run_campaign(*, count: int, seed: int, large: bool = True) -> tuple[Counter[str], list[str]]:
    """The number of cases by kind, and the violations."""
    chance = random.Random(seed)
    cases: Counter[str] = Counter()
    violations: list[str] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

    def case(kind: str, read: Callable[[Path], None], path: Path) -> None:
        cases[kind] += 1
        try:
            with limited():
                read(path)
        except Exception as error:  # noqa: BLE001 - each is a violation
            violations.append(f"{kind} {cases[kind]}: {type(error).__name__}: {str(error)[:200]}")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_history(folder / "valid")
        valid = (folder / "valid").read_bytes()
        for number in range(count):
            path = folder / f"{number}.jsonl"
            path.write_bytes(mutated_recording(chance))
            case("recording", read_recording, path)
            path = folder / f"{number}.sqlite3"
            path.write_bytes(valid)
            mutate_history(path, chance)
            case("history", read_history, path)
            path = folder / f"{number}.pending"
            path.write_bytes(valid)
            mutate_history(path, chance)
            case("rows", read_rows, path)
            for left in folder.glob(f"{number}.*"):
                left.unlink()
        for kind, path in large_recordings(folder) if large else ():
            case(f"large: {kind}", read_large, path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) - before
    if grown > MAX_MEMORY:
        violations.append(f"the memory grew by {grown} MiB")
    cases["MiB"] = grown
    return cases, violations


def main() -> int:
    """Print the table; 1 if there was a violation."""
    parser = argparse.ArgumentParser(description="Read mutated recordings, histories, checkpoints.")
    parser.add_argument("--quick", action="store_true", help="100 mutations of each, not 3,000")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    began = time.monotonic()
    count = 100 if options.quick else 3_000
    cases, violations = run_campaign(count=count, seed=options.seed, large=not options.quick)
    for kind, number in cases.items():
        print(f"{kind:20} {number:6}")
    print(f"{'violations':20} {len(violations):6}   ({time.monotonic() - began:.0f} s)")
    print(*violations[:20], sep="\n")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
