"""Responses that are cut, reset, stalled, dripped or damaged at every offset, on real sockets.

Each driver (plain, async, batch) asks a question for each place. A violation is a wrong text
(unless its own bytes were damaged), an exception that is not an ``AeronError``, a question that
came twice, or a call that takes too long.
Then the parsers of a body (events, JSON objects) get damaged samples: nothing but an
``AeronError`` may be raised, and the time per byte must not grow with the size.

    python tests/campaigns/wire.py [--quick] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import gzip
import json
import random
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "support"))

from raw_server import Asked, RawServer, chunked, head, reset  # noqa: E402

from aeron_magic import AeronError, AsyncClient, Client, ask_many  # noqa: E402
from aeron_magic.protocol.framing import FrameDecoder  # noqa: E402
from aeron_magic.services import aeronpay, chatzy  # noqa: E402
from aeron_magic.services.settings import Settings  # noqa: E402

TEXT = "one two three four"
TIMEOUT = 0.3
"""Seconds of silence that the drivers wait."""

LONGEST = 8.0
"""Seconds that a question may take at most."""

DRIVERS = ("plain", "async", "batch")
AT_ONCE = 6
"""Questions at the same time, each with a driver of its own: most of the time they wait."""


def events(token: str, text: str = TEXT) -> list[dict[str, Any]]:
    """The events of a reply."""
    words = text.split(" ")
    pieces = [word + " " * (place < len(words) - 1) for place, word in enumerate(words)]
    begin = {"event": "response_initiated", "status": "PENDING", "context_token": token}
    chunks = [
        {"event": "response_output", "sequence_no": place, "system": {"text_chunk": piece}}
        for place, piece in enumerate(pieces, 2)
    ]
    end = {"event": "response_completed", "status": "SUCCESS", "response_status": "completed"}
    return [begin, *chunks, {**end, "context_token": token, "system": {"text": text}}]


def whole_answer(token: str, text: str = TEXT) -> bytes:
    """The body of a reply that is not streamed."""
    return json.dumps(events(token, text)[-1] | {"event": None}).encode()


def response(framing: str, token: str) -> bytes:
    """A whole response, from its status line to its last byte."""
    lines = [json.dumps(one) for one in events(token)]
    plain = "Content-Type: application/json"
    if framing == "object":
        body = whole_answer(token)
        return head("200 OK", plain, f"Content-Length: {len(body)}") + body
    if framing == "gzip":
        body = gzip.compress("\n".join(lines).encode(), mtime=0)
        return head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(body)}") + body
    if framing == "close":
        return head("200 OK", plain, "Connection: close") + "\n".join(lines).encode()
    if framing == "ndjson":
        pieces = [f"{line}\n".encode() for line in lines]
    else:
        plain = "Content-Type: text/event-stream"
        pieces = [f"data: {line}\n\n".encode() for line in lines]
    return head("200 OK", plain, "Transfer-Encoding: chunked") + chunked(*pieces)


FRAMINGS = ("sse", "ndjson", "object", "gzip", "close")


class Plan(NamedTuple):
    """What the server does to the answer of one question."""

    framing: str = "sse"
    how: str = "whole"
    at: int = 0
    answers: tuple[bytes, ...] = ()
    """Sent first, one for each create-response; then the usual one."""


@dataclass
class Service:
    """A service on a real socket with a plan for each question; it counts what it is asked."""

    plans: dict[str, Plan] = field(default_factory=dict)
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    server: RawServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = RawServer(self._answer)

    def _answer(self, connection: socket.socket, asked: Asked) -> bool:
        if asked.endpoint == "fetch-response":
            body = whole_answer(str(asked.json.get("context_token")))
            connection.sendall(head("200 OK", f"Content-Length: {len(body)}") + body)
            return True
        plan = self.plans.get(asked.question, Plan())
        earlier = self.server.creates()[asked.question] - 1
        if earlier < len(plan.answers):
            answer = plan.answers[earlier]
            self.refused[asked.question] += b"surely-refused" in answer
            connection.sendall(answer)
            return True
        return _send(connection, response(plan.framing, f"t-{asked.question}"), plan)

    def accepted(self, question: str) -> int:
        """How often ``question`` came, without those that were surely refused."""
        return self.server.creates()[question] - self.refused[question]


def _send(connection: socket.socket, whole: bytes, plan: Plan) -> bool:
    if plan.how == "whole":
        connection.sendall(whole)
        return plan.framing != "close"
    if plan.how == "drip":
        for byte in whole:
            connection.sendall(bytes([byte]))
            time.sleep(0.0001)
        return plan.framing != "close"
    if plan.how == "stray":  # a second answer, to no request
        stray = head("429 X", "Retry-After: 0", "Content-Length: 2") + b"{}"
        connection.sendall(whole + stray)
        return True
    connection.sendall(whole[: plan.at])
    if plan.how == "stall":
        time.sleep(TIMEOUT * 2)
    if plan.how == "reset":
        if plan.at:
            time.sleep(0.001)
        reset(connection)
    if plan.how == "end":  # a proper end of the body, too early
        with contextlib.suppress(OSError):
            connection.sendall(b"\r\n0\r\n\r\n")
    return False


class Result(NamedTuple):
    """How a question ended."""

    text: str | None
    error: BaseException | None
    seconds: float


Ask = Callable[[str, bool], Result]


@contextlib.contextmanager
def driver(kind: str, url: str) -> Iterator[Ask]:
    """A function that asks a question with one of ``DRIVERS``."""
    options: dict[str, Any] = {
        "base_url": url,
        "client_id": "me",
        "client_secret": "hush-4f1c-hush",
        "timeout": TIMEOUT,
        "fetch_timeout": 5.0,
    }

    def timed(call: Callable[[], Any]) -> Result:
        began = time.monotonic()
        try:
            text, error = call(), None
        except Exception as failure:  # noqa: BLE001 - judged by the campaign
            text, error = None, failure
        return Result(text, error, time.monotonic() - began)

    if kind == "plain":
        with Client(**options) as client:
            yield lambda question, stream: timed(lambda: client.ask(question, stream=stream).text)
    elif kind == "async":
        with asyncio.Runner() as runner:
            aclient = AsyncClient(**options)
            yield lambda question, stream: timed(
                lambda: runner.run(aclient.ask(question, stream=stream)).text
            )
            runner.run(aclient.close())
    else:
        settings = Settings("aeronpay", **options)

        def ask(question: str, stream: bool) -> Result:
            def call() -> str:
                (row,) = ask_many([question], settings=settings, stream=stream, frame=False)
                if row.error is not None:
                    raise row.error
                return str(row.reply.text)

            return timed(call)

        yield ask


def judge(result: Result, times: int, text: str = TEXT) -> str:
    """What is wrong with a question that came ``times`` times; empty if nothing."""
    if times > 1:
        return f"asked {times} times"
    if result.seconds > LONGEST:
        return f"took {result.seconds:.1f} s"
    if result.error is not None:
        if not isinstance(result.error, AeronError):
            return f"raised {result.error!r}"
        if not result.error.hint or str(result.error).startswith("Internal error"):
            return f"has no remedy or is internal: {result.error}"
        return ""
    return "" if result.text == text else f"wrong text {result.text!r}"


class Tally(NamedTuple):
    """The counts of one row of the table."""

    name: str
    cases: int
    right: int
    errors: int
    most: int
    """The most create-responses of a question that was not surely refused."""
    violations: list[str]


def run(
    name: str, kind: str, cases: dict[str, tuple[Plan, bool]], *, any_text: bool = False
) -> Tally:
    """Ask each question of ``cases`` with one driver; the plan and whether to stream.

    ``any_text``: the damage may be in the text itself.
    """
    service = Service({question: plan for question, (plan, _) in cases.items()})

    def ask_some(some: Iterable[str]) -> list[tuple[bool, int, str]]:
        found = []
        with driver(kind, service.server.url) as ask:
            for question in some:
                plan, stream = cases[question]
                result = ask(question, stream)
                if any_text and result.text is not None:
                    result = result._replace(text=TEXT)
                times = service.accepted(question)
                wrong = judge(result, times)
                place = f"{kind} {plan[:3]} stream={stream}: {wrong}" if wrong else ""
                found.append((result.error is None, times, place))
        return found

    questions = list(cases)
    with service.server, ThreadPoolExecutor(AT_ONCE) as pool:
        parts = pool.map(ask_some, (questions[n::AT_ONCE] for n in range(min(AT_ONCE, len(cases)))))
        results = list(chain.from_iterable(parts))
    right = sum(is_right for is_right, _, _ in results)
    most = max((times for _, times, _ in results), default=0)
    violations = [wrong for _, _, wrong in results if wrong]
    errors = len(results) - right
    return Tally(f"{name}, {kind}", len(cases), right, errors, most, violations)


def offsets(framing: str, step: int, shift: int) -> list[int]:
    """Places in a response, from before its first byte to after its last."""
    return list(range(shift % step, len(response(framing, "t-000000")) + 1, step))


def cuts(step: int, shift: int) -> Iterator[tuple[str, dict[str, tuple[Plan, bool]]]]:
    """The cases of the first part, by name."""
    for framing in FRAMINGS:
        for how, sparse in (("close", 1), ("reset", 1), ("end", 3), ("stall", 60), ("drip", 0)):
            places = offsets(framing, step * sparse, shift) if sparse else [0]
            cases = {
                f"{place:06}": (Plan(framing, how, place), framing != "object") for place in places
            }
            yield f"{framing} {how}", cases


def damaged(seed: int, count: int) -> dict[str, tuple[Plan, bool]]:
    """Responses with damaged bytes, as answers to questions."""
    rng = random.Random(seed)
    cases = {}
    for number in range(count):
        framing = rng.choice(FRAMINGS)
        answer = mutate(response(framing, f"t-{number:06}"), rng)
        close = answer + (b"" if rng.random() < 0.5 else b"\r\n\r\n")
        cases[f"{number:06}"] = (Plan(answers=(close,)), framing != "object")
    return cases


HOSTILE = (
    b"\x00", b"\xff", b"\r", b"\n", b"\r\n\r\n", b"{", b"}", b"[", b'"', b"\\", b"data:", b"id:",
    b"<img src=x onerror=alert(1)>", b"\xf0\x9f", b"\\ud83d", b"1e999", b"NaN", b"-", b"FFFFFFFF",
    b"0\r\n\r\n", b"Content-Length: 5\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"[" * 3_000,
)  # fmt: skip


def mutate(data: bytes, rng: random.Random) -> bytes:
    """``data`` with a few bytes changed, removed, doubled or added."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1)
        what = rng.randrange(4)
        if what == 0 and place < len(changed):
            changed[place] = rng.randrange(256)
        elif what == 1:
            del changed[place : place + rng.randint(1, 20)]
        elif what == 2:
            changed[place:place] = changed[place : place + rng.randint(1, 60)]
        else:
            changed[place:place] = rng.choice(HOSTILE)
    return bytes(changed)


def parse(body: bytes, label: str, size: int) -> None:
    """Read ``body`` as both services do, in pieces of ``size`` bytes."""
    for parser, wants_chunk in (
        (aeronpay._StreamParser("https://x"), False),
        (chatzy._StreamParser(reopened=False), True),
    ):
        decoder = FrameDecoder(label)
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            frames = decoder.feed(piece)
            parser.feed(piece, frames) if wants_chunk else parser.feed(frames)  # type: ignore
        decoder.close()
        assert isinstance(decoder.unparsed, str)
    aeronpay.token_in(body.decode("utf-8", "replace"))


def fuzz_parsers(seed: int, count: int) -> Tally:
    """Damaged samples through the parsers."""
    rng = random.Random(seed)
    samples = [path.read_bytes() for path in sorted((ROOT / "fixtures" / "wire").glob("*/*.*"))]
    violations = []
    for _ in range(count):
        body = mutate(rng.choice(samples), rng)
        label = rng.choice(("", "text/event-stream", "application/json"))
        try:
            parse(body, label, rng.choice((1, 7, 1_000, 65_536)))
        except AeronError:
            pass
        except Exception as failure:  # noqa: BLE001 - a violation
            violations.append(f"{failure!r} for {body[:80]!r}")
    return Tally("parsers, damaged samples", count, count - len(violations), 0, 0, violations)


def time_parsers(seed: int, count: int) -> Tally:
    """Repeated pieces: four times the bytes may take six times the time at most."""
    rng = random.Random(seed)
    violations = []
    pieces = [
        *HOSTILE[:22],
        b'data: {"a": 1}\n',
        b"data: x\n\n",
        b'{"a": "\\"',
        b"x:",
        b" ",
        b",{}",
    ]
    for _ in range(count):
        unit = b"".join(rng.choices(pieces, k=rng.randint(1, 3)))
        size = rng.choice((16, 4_096))
        small, large = (unit * (n // len(unit)) for n in (2**15, 2**17))
        parse_time = [min(_seconds(body, size) for _ in range(3)) for body in (small, large)]
        if parse_time[1] > 6 * parse_time[0] + 0.02:
            violations.append(f"{unit[:60]!r}: {parse_time[0]:.4f} s, then {parse_time[1]:.4f} s")
    return Tally("parsers, time of 32 and 128 kB", count, count - len(violations), 0, 0, violations)


def _seconds(body: bytes, size: int) -> float:
    began = time.process_time()
    with contextlib.suppress(AeronError):
        parse(body, "", size)
    return time.process_time() - began


def show(tallies: list[Tally]) -> int:
    """Print the table; the number of violations."""
    print(f"{'cases':<34}{'count':>7}{'right':>7}{'errors':>8}{'most asked':>12}{'violations':>12}")
    for one in tallies:
        print(
            f"{one.name:<34}{one.cases:>7}{one.right:>7}{one.errors:>8}{one.most:>12}"
            f"{len(one.violations):>12}"
        )
    wrong = [violation for one in tallies for violation in one.violations]
    total = sum(one.cases for one in tallies)
    print(f"{total} cases, {len(wrong)} violations")
    for violation in wrong[:20]:
        print("  ", violation[:300])
    return len(wrong)


def campaign(seed: int, *, step: int, damages: int, samples: int, timings: int) -> list[Tally]:
    """All parts."""
    tallies = []
    for kind in DRIVERS:
        parts: dict[str, list[Tally]] = {}
        for name, cases in cuts(step * (3 if kind == "batch" else 1), seed):
            parts.setdefault(name.split()[1], []).append(run(name, kind, cases))
        tallies += [_sum(f"{how}, {kind}", found) for how, found in parts.items()]
        tallies.append(run("damaged bytes", kind, damaged(seed, damages), any_text=True))
    tallies.append(fuzz_parsers(seed, samples))
    tallies.append(time_parsers(seed, timings))
    return tallies


def _sum(name: str, parts: list[Tally]) -> Tally:
    return Tally(
        name,
        sum(one.cases for one in parts),
        sum(one.right for one in parts),
        sum(one.errors for one in parts),
        max(one.most for one in parts),
        [violation for one in parts for violation in one.violations],
    )


def main() -> int:
    """Run the campaign; 0 if there was no violation."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a part: about ten seconds")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    if options.quick:
        sizes = {"step": 101, "damages": 25, "samples": 300, "timings": 10}
    else:
        sizes = {"step": 1, "damages": 400, "samples": 5_000, "timings": 150}
    return int(show(campaign(options.seed, **sizes)) > 0)


if __name__ == "__main__":
    sys.exit(main())
