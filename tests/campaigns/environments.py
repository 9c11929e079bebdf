"""Ask in bad environments: the reply is right, comes in bounded time and is charged once.

Each case starts IPython in a process of its own, in an environment that is full, read-only, locked,
damaged, small, suspended or without a network, and asks two questions. A violation is: a reply
that is wrong or missing, a question that the service got twice or not at all, an error that is not
an AeronError, a traceback, or a cell that takes too long.

    python tests/campaigns/environments.py [--quick] [--only WORDS] [--list]

Full disks, read-only folders and networks are made in namespaces of Linux, which needs root; cases
that are not possible here are listed as skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from private_home import private_environment

from aeron_magic.sandbox import Faults, Sandbox

SAY = "Right text: ☺ 🎉 नमस्ते, ₹ 5, “so”."
SLOW_SAY = " ".join(["word"] * 60)

CHILD = """
import json, os, sys, time
spec = json.loads(sys.argv[1])
exec(spec["setup"])
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
cells = []
def run(source):
    began = time.monotonic()
    done = shell.run_cell(source)
    error = done.error_before_exec or done.error_in_exec
    from aeron_magic import AeronError
    cells.append({"seconds": time.monotonic() - began,
                  "error": None if error is None else f"{type(error).__name__}: {error}",
                  "hint": getattr(error, "hint", ""),
                  "ours": error is None or isinstance(error, AeronError)})
for source in spec["cells"]:
    run(source)
names = {name: getattr(value, "text", value) for name, value in shell.user_ns.items()
         if name in spec["names"]}
with open(spec["result"], "w", encoding="utf-8") as file:
    json.dump({"cells": cells, "names": names}, file, default=str)
shell.run_line_magic("unload_ext", "aeron_magic")
"""

QUESTIONS = ("%%aeron -o r1\nFirst?", "%%aeron -o r2\nSecond?")


@dataclass
class Outcome:
    """What the process of one case did.

    Parameters
    ----------
    cells
        Seconds, error and hint of each cell.
    names
        Variables of the notebook; a reply's text.
    output
        What the process wrote.
    asked
        How often the service got each question.
    code
        The exit code; None where the process did not end in time.
    """

    cells: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    asked: dict[str, int] = field(default_factory=dict)
    code: int | None = None

    @property
    def errors(self) -> list[str]:
        """The errors of the cells that failed."""
        return [cell["error"] for cell in self.cells if cell["error"]]


class Bench:
    """Runs cells in a process of its own, against a sandbox in this one.

    Parameters
    ----------
    folder
        For the process's files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = private_environment(folder)
        self.environment["AERON_HISTORY"] = str(folder / "history.sqlite3")
        self.environment["PYTHONIOENCODING"] = "utf-8"
        self.wrapper: list[str] = []
        self.setup = ""
        self.faults = Faults(say=SAY)
        self.say = SAY
        self.timeout = 60.0
        self.meanwhile: Callable[[subprocess.Popen[bytes], Sandbox], None] | None = None

    def mounted(self, folder: Path, options: str, then: str = "") -> None:
        """Mount a tmpfs at ``folder``, for the process only."""
        folder.mkdir(exist_ok=True)
        script = f'mount -t tmpfs -o {options} tmpfs "{folder}" && {then or "true"}; exec "$@"'
        self.wrapper = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]

    def run(self, *cells: str, names: tuple[str, ...] = ()) -> Outcome:
        """Load the extension and run ``cells``; keep the replies r1, r2, … and ``names``."""
        names = (*names, *(f"r{number}" for number in range(1, 31)))
        with Sandbox(faults=self.faults) as sandbox:
            self.environment |= {
                "AERON_CLIENT_ID": "tester",
                "AERON_CLIENT_SECRET": "hush-4f1c-hush",
                "AERON_BASE_URL": sandbox.aeronpay_url,
            }
            result = self.folder / "result.json"
            spec = {
                "setup": self.setup,
                "cells": ["%load_ext aeron_magic", *cells],
                "names": names,
                "result": str(result),
            }
            process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-c", CHILD, json.dumps(spec)],
                env=self.environment,
                cwd=str(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            if self.meanwhile is not None:
                watcher = threading.Thread(target=self.meanwhile, args=(process, sandbox))
                watcher.start()
            outcome = Outcome()
            try:
                output, _ = process.communicate(timeout=self.timeout)
                outcome.code = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                output, _ = process.communicate()
            outcome.output = output.decode("utf-8", "replace")
            for seen in sandbox.log.of("create-response"):
                text = seen.body["user"]["text"]
                outcome.asked[text] = outcome.asked.get(text, 0) + 1
        if result.exists():
            loaded = json.loads(result.read_text(encoding="utf-8"))
            outcome.cells, outcome.names = loaded["cells"], loaded["names"]
        return outcome


def violations(
    outcome: Outcome,
    *,
    say: str = SAY,
    questions: int = 2,
    bound: float = 10.0,
    errors: tuple[str, ...] = (),
    shows: str = "",
) -> list[str]:
    """What is wrong with an outcome; ``errors`` are beginnings of those that are right."""
    found = []
    if outcome.code != 0:
        found.append(f"exit code {outcome.code}: …{outcome.output[-300:]!r}")
    for number in range(1, questions + 1):
        text = outcome.names.get(f"r{number}")
        if text != say:
            found.append(f"reply {number} is {str(text)[:80]!r}")
    if wrong := {text: count for text, count in outcome.asked.items() if count != 1}:
        found.append(f"asked: {wrong}")
    if len(outcome.asked) < questions:
        found.append(f"asked only {list(outcome.asked)}")
    for cell in outcome.cells:
        if cell["seconds"] > bound:
            found.append(f"a cell took {cell['seconds']:.1f} s")
        if not cell["ours"] or "Internal error" in str(cell["error"]):
            found.append(f"foreign error {cell['error'][:200]}")
        elif cell["error"] and not any(one in cell["error"] for one in errors):
            found.append(f"error {cell['error'][:200]}")
        elif cell["error"] and not cell["hint"]:
            found.append(f"an error without a remedy: {cell['error'][:200]}")
    if "Traceback (most recent" in outcome.output:
        found.append(f"a traceback: …{outcome.output[-400:]!r}")
    if shows and shows not in outcome.output:
        found.append(f"{shows!r} is not shown: …{outcome.output[-300:]!r}")
    return found


# Cases -------------------------------------------------------------------------------------------

Case = Callable[[Bench], list[str]]


def disk_full(kib: int, kind: str) -> Case:
    """A disk with so many KiB for the history, recording, export or checkpoint."""

    def case(bench: Bench) -> list[str]:
        disk = bench.folder / "disk"
        bench.mounted(
            disk, f"size={max(kib, 4)}k", f'head -c {1 if kib else 4096} /dev/zero > "{disk}/x"'
        )
        if kind == "history":
            bench.environment["AERON_HISTORY"] = str(disk / "history.sqlite3")
            return violations(bench.run(*QUESTIONS))
        if kind == "recording":
            cells = (f"%aeron record {disk}/made.jsonl", *QUESTIONS)
            return violations(bench.run(*cells), errors=("RecordingError",))
        if kind == "export":
            kinds = ("md", "html", "json", "ipynb")
            cells = (*QUESTIONS, *(f"%aeron export {disk}/made.{one}" for one in kinds))
            return violations(
                bench.run(*cells, "%%aeron -o r3\nThird?"), errors=("UsageError", "HistoryError")
            )
        rows = (
            "from aeron_magic import ask_many\n"
            f"rows = ask_many([f'q {{n}}' for n in range(40)], checkpoint='{disk}/rows.jsonl',"
            " progress=False)"
        )
        after = "texts = [one for one in rows.status if one == 'complete']"
        outcome = bench.run(rows, after, *QUESTIONS, names=("r1", "r2", "texts"))
        found = violations(outcome, errors=("AeronError", "UsageError", "NameError"))
        rows_asked = sum(text.startswith("q ") for text in outcome.asked)
        kept = len(outcome.names.get("texts", ()))
        if rows_asked != kept and not outcome.errors:
            found.append(f"{rows_asked} rows were asked, {kept} are kept")
        if rows_asked and not kept:
            found.append(f"{rows_asked} rows were asked and are lost: {outcome.errors[:1]}")
        return found

    return case


def read_only_home(bench: Bench) -> list[str]:
    """Every folder of the user is read-only, and the history is where it is by default."""
    home = bench.folder / "ro"
    bench.mounted(home, "size=1m", f'mount -o remount,ro "{home}"')
    for name in list(bench.environment):
        if name.startswith(("XDG_", "HOME", "IPYTHONDIR", "JUPYTER")):
            bench.environment[name] = str(home)
    bench.environment.pop("AERON_HISTORY")
    return violations(bench.run(*QUESTIONS), shows="not stored")


def no_home(bench: Bench) -> list[str]:
    """No HOME, and a user id without an entry in the list of users."""
    for name in list(bench.environment):
        if name.startswith(("XDG_", "HOME", "IPYTHONDIR", "JUPYTER", "USER", "LOGNAME")):
            bench.environment.pop(name)
    bench.environment.pop("AERON_HISTORY")
    bench.wrapper = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    outcome = bench.run(*QUESTIONS, "%aeron record made.jsonl", "%aeron export made.md")
    return violations(outcome)


def history_locked(bench: Bench) -> list[str]:
    """Another process is writing to the history all the time."""
    path = bench.folder / "history.sqlite3"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE x (y)")
    path.unlink()
    bench.run(*QUESTIONS)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        return violations(bench.run(*QUESTIONS), bound=6.0, shows="not stored")
    finally:
        holder.close()


def _random_bytes(path: Path) -> None:
    path.write_bytes(os.urandom(9000))


def _truncated(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _socket(path: Path) -> None:
    import socket

    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as made:
        folder = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is limited to 107 bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(folder)


def _link(target: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return make


KINDS: dict[str, Callable[[Path], None]] = {
    "random bytes": _random_bytes,
    "truncated": _truncated,
    "empty": _empty,
    "a folder": _folder,
    "a FIFO": _fifo,
    "a socket": _socket,
    "/dev/zero": _link("/dev/zero"),
    "/dev/full": _link("/dev/full"),
    "/dev/null": _link("/dev/null"),
    "a dangling link": _link("nowhere/at/all"),
    "a link to itself": _link("itself"),
}
"""How a file is damaged or replaced."""


def bad_history(kind: str) -> Case:
    """The history is damaged, or is not a file."""

    def case(bench: Bench) -> list[str]:
        path = bench.folder / "history.sqlite3"
        bench.run(*QUESTIONS)
        for log in bench.folder.glob("history.sqlite3-*"):
            log.unlink()
        if kind == "a link to itself":
            path = bench.folder / "itself"
            bench.environment["AERON_HISTORY"] = str(path)
        KINDS[kind](path)
        more = ("%aeron", "%aeron use", "%aeron resume", "%aeron history")
        return violations(
            bench.run(*QUESTIONS, *more), errors=("HistoryError", "UsageError"), bound=6.0
        )

    return case


def bad_recording(kind: str, mode: str) -> Case:
    """The recording is damaged, or is not a file."""

    def case(bench: Bench) -> list[str]:
        path = bench.folder / "made.jsonl"
        first = bench.run(f"%aeron record {path}", *QUESTIONS)
        if found := violations(first):
            return found
        if kind == "a link to itself":
            path = bench.folder / "itself"
        KINDS[kind](path)
        command = f"%aeron {mode} {path}"
        outcome = bench.run(command, *QUESTIONS, "%aeron record off", "%%aeron -n -o r3\nThird?")
        found = violations(outcome, questions=0, errors=("RecordingError",), bound=6.0)
        if outcome.names.get("r3", SAY) != SAY:
            found.append("the next question does not work")
        return found

    return case


def encoding(name: str, locale: str) -> Case:
    """A terminal that cannot show what the reply contains."""

    def case(bench: Bench) -> list[str]:
        bench.environment |= {"PYTHONIOENCODING": name, "LANG": locale, "LC_ALL": locale}
        if not name:
            bench.environment.pop("PYTHONIOENCODING")
            bench.environment["PYTHONUTF8"] = "0"
            bench.environment["PYTHONCOERCECLOCALE"] = "0"
        token = "token = context_token"
        outcome = bench.run(
            *QUESTIONS,
            token,
            "%aeron history",
            "%aeron last",
            "%%aeron -o r3 -f json\nThird?",
            "%aeron nonsense ☺",
            "%%aeron -o r4 -f text\nFourth?",
            names=("r1", "r2", "r3", "r4", "token"),
        )
        found = violations(outcome, errors=("ReplyFormatError", "UsageError"), questions=4)
        if not outcome.names.get("token"):
            found.append("context_token has not moved")
        return found

    return case


def few_files(limit: int) -> Case:
    """The process may open only a few files at once."""

    def case(bench: Bench) -> list[str]:
        bench.setup = (
            "import resource, IPython.core.interactiveshell, aeron_magic\n"
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
        )
        more = (
            f"%aeron record {bench.folder}/made.jsonl",
            "%%aeron -o r3\nThird?",
            "%aeron record off",
            *(f"%%aeron -o r{n}\nQuestion {n}?" for n in range(4, 30)),
            f"%aeron export {bench.folder}/made.md",
        )
        return violations(bench.run(*QUESTIONS, *more), questions=29)

    return case


def suspended(seconds: float) -> Case:
    """The process is stopped in the middle of a stream, longer than the limit of silence."""

    def case(bench: Bench) -> list[str]:
        bench.say = SLOW_SAY
        bench.faults = Faults(say=SLOW_SAY, pause=0.03)
        bench.timeout = seconds + 60

        def stop(process: subprocess.Popen[bytes], sandbox: Sandbox) -> None:
            _await_question(sandbox, process)
            time.sleep(0.6)
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(process.pid, signal.SIGCONT)

        bench.meanwhile = stop
        limit = max(1.0, seconds / 2)
        outcome = bench.run(f"%config AeronMagics.timeout = {limit}", *QUESTIONS)
        return violations(outcome, say=SLOW_SAY, bound=seconds + 15)

    return case


def clock_jumps(step: float) -> Case:
    """The clock is set in the middle of a stream, again and again."""

    def case(bench: Bench) -> list[str]:
        bench.faults = Faults(say=SLOW_SAY, pause=0.01)
        bench.setup = (
            "import time\nreal, calls = time.time, [0]\n"
            "def jumping():\n"
            "    calls[0] += 1\n"
            f"    return real() + {step} * (calls[0] % 3)\n"
            "time.time = jumping"
        )
        more = (f"%aeron record {bench.folder}/made.jsonl", "%%aeron -o r3\nThird?", "%aeron tree")
        outcome = bench.run(*QUESTIONS, *more, f"%aeron export {bench.folder}/made.json")
        return violations(outcome, say=SLOW_SAY, questions=3)

    return case


def interrupted_network(seconds: float) -> Case:
    """The network is away for some seconds in the middle of a stream (in a network namespace)."""

    def case(bench: Bench) -> list[str]:
        spec = json.dumps({"folder": str(bench.folder), "seconds": seconds})
        done = subprocess.run(
            ["unshare", "-n", sys.executable, __file__, "--inside", spec],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            return [f"the namespace failed: {done.stderr[-300:]}"]
        found: list[str] = json.loads(lines[-1])
        return found

    return case


def _inside(spec: str) -> int:
    """The body of :func:`interrupted_network`, in its namespace."""
    given = json.loads(spec)
    link = ["ip", "link", "set", "lo"]
    subprocess.run([*link, "up"], check=True)
    bench = Bench(Path(given["folder"]))
    bench.faults = Faults(say=SLOW_SAY, pause=0.05)

    def cut(process: subprocess.Popen[bytes], sandbox: Sandbox) -> None:
        _await_question(sandbox, process)
        time.sleep(0.5)
        subprocess.run([*link, "down"], check=True)
        time.sleep(given["seconds"])
        subprocess.run([*link, "up"], check=True)

    bench.meanwhile = cut
    outcome = bench.run("%config AeronMagics.timeout = 1.0", *QUESTIONS)
    print(json.dumps(violations(outcome, say=SLOW_SAY, bound=given["seconds"] + 20)))
    return 0


def _await_question(sandbox: Sandbox, process: subprocess.Popen[bytes]) -> None:
    while not sandbox.log.of("create-response") and process.poll() is None:
        time.sleep(0.01)


def forked(bench: Bench) -> list[str]:
    """The kernel's process is forked, and both ask with the same client and in cells."""
    cell = """
import os, sys
from aeron_magic import Client
client = Client()
first = client.ask("Before?").text
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    try:
        for n in range(10):
            text = client.ask(f"Child {n}?").text
            os.write(write, b"1" if text == first else b"0")
        get_ipython().run_cell("%aeron ask -o r9 In a cell of the child?")
        r9 = get_ipython().user_ns.get("r9")
        os.write(write, b"1" if r9 is not None and r9.text == first else b"0")
    except BaseException as error:
        os.write(write, type(error).__name__.encode() + str(error).encode()[:200])
    os._exit(0)
own = [client.ask(f"Parent {n}?").text == first for n in range(10)]
os.close(write)
child = b""
import select
while select.select([read], [], [], 15)[0] and (data := os.read(read, 300)):
    child += data
os.kill(pid, 9)
os.waitpid(pid, 0)
child = child.decode()
"""
    outcome = bench.run(
        *QUESTIONS, cell, "%%aeron -o r3\nThird?", names=("r1", "r2", "r3", "own", "child")
    )
    found = violations(outcome, questions=3, bound=20)
    if outcome.names.get("child") != "1" * 11:
        found.append(f"in the child: {outcome.names.get('child')!r}")
    if outcome.names.get("own") != [True] * 10:
        found.append(f"in the parent: {outcome.names.get('own')!r}")
    return found


def threads(bench: Bench) -> list[str]:
    """Threads of a cell ask with one client, and with cells' conversations."""
    cell = """
from concurrent.futures import ThreadPoolExecutor
from aeron_magic import Client, Conversation
client = Client()
def ask(n):
    return client.ask(f"Thread {n}?").text
def chat(n):
    own = Conversation(client)
    return own.ask(f"Chat {n}?").text
with ThreadPoolExecutor(16) as pool:
    texts = [*pool.map(ask, range(60)), *pool.map(chat, range(20))]
"""
    outcome = bench.run(*QUESTIONS, cell, names=("r1", "r2", "texts"))
    found = violations(outcome)
    if outcome.names.get("texts") != [SAY] * 80:
        found.append("wrong texts in threads")
    return found


def cases(*, quick: bool) -> Iterator[tuple[str, Case]]:
    """The cases, by name."""
    sizes = (0, 40, 100) if quick else (0, 4, 8, 16, 24, 32, 40, 48, 64, 80, 100, 128, 160, 200)
    for kind in ("history", "recording", "export", "checkpoint"):
        for size in sizes if kind == "history" else (0, *(() if quick else (4, 8, 16))):
            yield f"disk full after {size} KiB: {kind}", disk_full(size, kind)
    yield "read-only home", read_only_home
    yield "no home, unknown user", no_home
    yield "history locked", history_locked
    for kind in KINDS:
        yield f"history: {kind}", bad_history(kind)
    for kind in KINDS:
        for mode in ("record",) if quick else ("record", "replay"):
            yield f"recording ({mode}): {kind}", bad_recording(kind, mode)
    for name, locale in (
        ("ascii", "C"),
        ("cp1252", "C.UTF-8"),
        ("ascii:strict", "C"),
        ("", "C"),
        ("utf-16", "C.UTF-8"),
    ):
        yield f"terminal: {name or 'by locale'} in {locale}", encoding(name, locale)
    for limit in (24, 64):
        yield f"{limit} files", few_files(limit)
    for seconds in (3.0,) if quick else (3.0, 40.0):
        yield f"suspended {seconds:g} s", suspended(seconds)
    for seconds in (3.0,) if quick else (3.0, 12.0):
        yield f"network away {seconds:g} s", interrupted_network(seconds)
    for step in (86_400.0, -86_400.0, 1e10):
        yield f"clock jumps by {step:g} s", clock_jumps(step)
    yield "forked kernel", forked
    yield "threads", threads


def possible() -> dict[str, str]:
    """Beginnings of the names of cases that are not possible here, with the reason."""
    reasons = {}
    for option, names in (
        ("-m", ("disk full", "read-only")),
        ("-n", ("network away",)),
        ("--user", ("no home",)),
    ):
        command = shutil.which("unshare")
        if (
            command is None
            or subprocess.run(
                [command, option, "true"], capture_output=True, check=False
            ).returncode
        ):
            reasons |= dict.fromkeys(names, f"unshare {option} is not allowed here")
    return reasons


def run(*, quick: bool = False, only: str = "") -> dict[str, list[str]]:
    """Run the cases whose names contain ``only``; the violations by case."""
    results = {}
    skipped = possible()
    for name, case in cases(quick=quick):
        if only not in name:
            continue
        reason = next((why for begin, why in skipped.items() if name.startswith(begin)), "")
        began = time.monotonic()
        if reason:
            print(f"skipped  {name}: {reason}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            results[name] = case(Bench(Path(folder)))
        mark = "FAILED" if results[name] else "ok"
        print(f"{mark:8} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        for one in results[name]:
            print(f"         {one}")
    return results


def main() -> int:
    """Run, print a table; 1 if there was a violation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes, shorter waits")
    parser.add_argument("--seed", type=int, default=0, help="without effect: nothing is random")
    parser.add_argument("--only", default="", metavar="WORDS", help="cases that contain WORDS")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _inside(options.inside)
    if options.list:
        print("\n".join(name for name, _ in cases(quick=options.quick)))
        return 0
    results = run(quick=options.quick, only=options.only)
    failed = sum(map(bool, results.values()))
    print(f"cases: {len(results)}, with violations: {failed}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
