"""``check``: what is asked, in which conversation, and what is said about the answers."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars
import pytest
from raw_server import Asked, RawServer, head

from aeron_magic import Client, Interrupted, UsageError, ValueRefused, check
from aeron_magic.checks import api
from aeron_magic.checks.plan import STOPPED
from aeron_magic.checks.running import INTERRUPTED, LOST, MAX_FAILURES
from aeron_magic.client import io_loop
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.sandbox import Faults, Refusal, Sandbox

Write = Callable[[str, str], Path]


def chat(*turns: str, rule: str = "matches: .") -> str:
    """A file whose turns have these questions and one rule."""
    return "".join(f"## Question\n\n{turn}\n\n```expect\n{rule}\n```\n\n" for turn in turns)


def asked(sandbox: Sandbox) -> list[tuple[str, str | None]]:
    """The questions that were sent, each with the token that it continues from."""
    return [
        (seen.body["user"]["text"], seen.body.get("context_token"))
        for seen in sandbox.log.of("create-response")
        if seen.body is not None  # else an interrupt came before its end
    ]


def journals(folder: Path) -> list[Path]:
    return sorted((folder / "data" / "aeron-magic" / "checks").glob("*"))


@pytest.mark.parametrize("rule", ["new", "same"])
def test_five_turns_follow_each_other(rule: Any, write: Write) -> None:
    """A service with a token for each reply, and one with a token for the conversation."""
    questions = [f"question {number}" for number in range(5)]
    path = write("a.chat.md", chat(*questions))
    with (
        Sandbox(token_rule=rule) as sandbox,
        Client(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b") as client,
    ):
        report = check(path, client=client, repeat=2)
        assert list(report.result) == ["passed"] * 10
        last = [token for text, token in asked(sandbox) if text == "question 4"]
        for token in last:
            listed = client.history(token)
            assert [one.text for one in listed if one.role == "user"][:4] == questions[:4]


def completed(token: str | None, text: str = "ok") -> bytes:
    """A stream with one chunk, in which only the last event names the token."""
    events = [
        {"event": "response_output", "sequence_no": 2, "system": {"text_chunk": text}},
        {
            "event": "response_completed",
            "status": "SUCCESS",
            "response_status": "completed",
            "context_token": token,
            "system": {"text": text},
        },
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    lines = ("Content-Type: text/event-stream", f"Content-Length: {len(body)}")
    return head("200 OK", *lines) + body


def raw_client(server: RawServer) -> Client:
    return Client(base_url=server.url, client_id="a", client_secret="b")


def test_a_token_that_comes_with_the_last_event_is_followed(write: Write) -> None:
    path = write("a.chat.md", chat(*"abcde"))
    tokens: list[str | None] = []

    def answer(connection: socket.socket, asked: Asked) -> bool:
        connection.sendall(completed(f"t{len(tokens)}"))
        tokens.append(asked.json.get("context_token"))
        return True

    with RawServer(answer) as server, raw_client(server) as client:
        assert list(check(path, client=client).result) == ["passed"] * 5
    assert tokens == [None, "t0", "t1", "t2", "t3"]


def test_a_service_without_tokens_cannot_be_followed(write: Write) -> None:
    """The second question would begin another conversation."""

    def answer(connection: socket.socket, asked: Asked) -> bool:
        connection.sendall(completed(None))
        return True

    with RawServer(answer) as server, raw_client(server) as client:
        report = check(write("a.chat.md", chat("a", "b")), client=client)
    assert list(report.result) == ["passed", "not asked"]
    assert "no token" in report.reason[1]


def test_conversations_run_at_once(write: Write) -> None:
    together = threading.Barrier(4, timeout=10)

    def answer(connection: socket.socket, asked: Asked) -> bool:
        together.wait()
        connection.sendall(completed("t"))
        return True

    with RawServer(answer) as server, raw_client(server) as client:
        report = check(write("a.chat.md", chat("a", "b")), client=client, repeat=4)
    assert list(report.result) == ["passed"] * 8, list(report.reason)


def test_the_report(client: Client, sandbox: Sandbox, write: Write) -> None:
    sandbox.set_faults(say="Five days.")
    write("a.chat.md", "## Question\n\na\n\n## Reply\n\nFive\ndays.\n")
    write("b.chat.md", "## Question\n\nb\n\n## Reply\n\nSix days.\n")
    write("c.chat.md", chat("c", rule="contains: Six\nnot contains: Five"))
    again = (Path("a.chat.md").resolve(), "./a.chat.md", f"../{Path.cwd().name}/a.chat.md")
    report = check("?.chat.md", *again, client=client)
    assert list(report.columns) == ["conversation", "turn", "repeat", "result", "reason", "reply"]
    assert list(report.conversation) == ["a.chat.md", "b.chat.md", "c.chat.md"]
    assert list(report.result) == ["passed", "changed", "failed"]
    assert list(report.reason) == [
        "",
        "differs from the reference",
        "does not contain “Six”; contains “Five”",
    ]
    assert set(report.reply) == {"Five days."}


def test_turns_after_one_without_an_answer_are_not_asked(
    client: Client, sandbox: Sandbox, write: Write
) -> None:
    sandbox.faults = Faults(refuse=(Refusal("create-response", 400),))
    report = check(write("a.chat.md", chat("one", "two", "three")), client=client)
    assert list(report.result) == ["error", "not asked", "not asked"]
    assert "ServiceError" in report.reason[0]
    assert report.reason[2] == "turn 2 before it was not answered"
    assert len(asked(sandbox)) == 1


def test_repeats_are_conversations_of_their_own(
    client: Client, sandbox: Sandbox, write: Write
) -> None:
    report = check(write("a.chat.md", chat("one", "two")), client=client, repeat=5)
    assert list(report["repeat"]) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    tokens = [token for text, token in asked(sandbox) if text == "two"]
    assert len(set(tokens)) == 5
    assert len(asked(sandbox)) == 10


@pytest.mark.parametrize("library", ["pandas", "polars", "list"])
def test_a_conversation_for_each_row(
    library: str, client: Client, sandbox: Sandbox, write: Write
) -> None:
    rows = {"plan": ["Basic", "Pro"], "fee": [5, 7]}
    tables: dict[str, Any] = {
        "pandas": pd.DataFrame(rows, index=["x", "y"]),
        "polars": polars.DataFrame(rows),
        "list": [{"plan": "Basic", "fee": 5}, {"plan": "Pro", "fee": 7}],
    }
    name = "row.plan" if library != "list" else 'row["plan"]'
    fee = "row.fee" if library != "list" else 'row["fee"]'
    sandbox.set_faults(say="It costs 5.")
    path = write("a.chat.md", chat(f"What costs {{{{{name}}}}}?", rule=f"contains: {{{{{fee}}}}}"))
    report = check(path, client=client, each=tables[library])
    assert list(report.result) == ["passed", "failed"]
    assert list(report.row) == (["x", "y"] if library == "pandas" else [0, 1])
    assert {text for text, _ in asked(sandbox)} == {"What costs Basic?", "What costs Pro?"}


def test_values_and_functions(client: Client, sandbox: Sandbox, write: Write) -> None:
    sandbox.set_faults(say="Hello Ada.")
    text = "## Question\n\nGreet {{name}}\n\n## Reply\n\nHello {{name}}.\n\n"
    text += "```expect\nsame\npython: ok\n```\n"
    values = {"name": "Ada", "ok": lambda reply: reply.text.startswith("Hello")}
    assert list(check(write("a.chat.md", text), client=client, values=values).result) == ["passed"]
    assert asked(sandbox)[0][0] == "Greet Ada"


@pytest.mark.parametrize(
    ("text", "arguments", "error", "part"),
    [
        (chat("{{nme}}"), {}, ValueRefused, "a.chat.md, turn at line 1: .*unknown variable nme"),
        (chat("{{row.a}}"), {}, ValueRefused, "add `each=` .*`--each TABLE`"),
        (chat("a", rule="contains: {{x}}"), {}, ValueRefused, "line 6: .*unknown variable x"),
        (chat("a", rule="python: f"), {}, UsageError, "a.chat.md, line 6: there is no function"),
        (chat("a", rule="matches: ("), {}, UsageError, "line 6: .*regular expression"),
        (chat("hush-4f1c-hush"), {}, ValueRefused, "line 1: The question contains.* secret"),
        (chat("a"), {"each": [1]}, UsageError, "mentions {{row}}"),
        (chat("a{{row}}"), {"each": 5}, UsageError, "Expected a list"),
        (chat("a"), {"repeat": 0}, UsageError, "repeat"),
        (chat("a"), {"repeat": True}, UsageError, "repeat"),
        (chat("a{{row}}"), {"each": []}, UsageError, "no row"),
        (chat("a", rule="contains: {{x}}"), {"values": {"x": " "}}, UsageError, "line 6: nothing"),
        (chat("a", rule="not contains: {{x}}"), {"values": {"x": "\u200b"}}, UsageError, "nothing"),
        (chat("a"), {"values": ["x"]}, UsageError, "Invalid values"),
        (chat("a"), {"at_most": "1"}, UsageError, "Invalid at_most"),
        (chat("a"), {"concurrency": 0}, UsageError, "Invalid concurrency"),
        (chat("a"), {"concurrency": "4"}, UsageError, "Invalid concurrency"),
        (chat("a"), {"at_most": 0}, UsageError, "1 question; the limit is 0"),
        (chat("a"), {"against": "none.jsonl"}, UsageError, "no file"),
        (chat("a\n\nImage: <ftp://x.y>"), {}, UsageError, "image"),
        ("x", {}, UsageError, "no question"),
    ],
)
def test_nothing_is_sent_if_anything_is_wrong(
    text: str,
    arguments: dict[str, Any],
    error: type[Exception],
    part: str,
    client: Client,
    sandbox: Sandbox,
    write: Write,
) -> None:
    with pytest.raises(error, match=part):
        check(write("a.chat.md", text).name, client=client, **arguments)
    assert asked(sandbox) == []


def test_files_that_cannot_be_read(client: Client, folder: Path) -> None:
    (folder / "dir.chat.md").mkdir()
    (folder / "bytes.chat.md").write_bytes(b"## Question\n\n\xff\n")
    (folder / "a.txt").write_text("x")
    for name, part in {
        "none.chat.md": "no file",
        "dir.chat.md": "no file",
        "no-*.chat.md": "no file",
        "a\0b": "no file",
        "bytes.chat.md": "cannot be read",
        "a.txt": "neither",
    }.items():
        with pytest.raises(UsageError, match=part):
            check(name, client=client)
    with pytest.raises(UsageError, match="No file"):
        check(client=client)


def test_a_misspelt_file_has_a_suggestion(client: Client, write: Write) -> None:
    path = write("good.chat.md", chat("a"))
    write("turns.jsonl", "")
    for name, near in {
        "god.chat.md": "good.chat.md",
        str(path.with_name("goood.chat.md")): "good.chat.md",
        "trns.jsonl": "turns.jsonl",
        "other.chat.md": "",
    }.items():
        for wanted, options in ((name, {}), ("good.chat.md", {"against": name})):
            with pytest.raises(UsageError) as caught:
                check(wanted, client=client, **options)
            assert ("Did you mean" in caught.value.hint) == bool(near), name
            assert near in caught.value.hint


@pytest.mark.parametrize("method", ["__repr__", "__str__"])
def test_a_row_whose_label_cannot_be_shown_has_its_position(
    client: Client, sandbox: Sandbox, write: Write, method: str
) -> None:
    def fail(_: object) -> str:
        raise RuntimeError

    label = type("Label", (), {method: fail, "__hash__": lambda _: 1})()
    table = pd.DataFrame({"a": ["x", "y"]}, index=[label, "second"])
    report = check(write("a.chat.md", chat("{{row.a}}")), client=client, each=table)
    assert list(report.row) == [0, 1]
    assert len(asked(sandbox)) == 2


def test_a_row_without_a_value_is_not_asked(client: Client, sandbox: Sandbox, write: Write) -> None:
    path = write("a.chat.md", chat('About {{row["a"]}}', "and then?"))
    report = check(path, client=client, each=[{"a": "x"}, {"b": "y"}])
    assert list(report.result) == ["passed", "passed", "not asked", "not asked"]
    assert 'no ["a"]' in report.reason[2]


@pytest.mark.parametrize("missing", [None, float("nan"), "", " "])
@pytest.mark.parametrize("rule", ["matches: .", "matches: .|{{row.b}}"])
def test_a_row_with_a_missing_value_is_not_asked(
    missing: Any, rule: str, client: Client, sandbox: Sandbox, write: Write
) -> None:
    column = "b" if "row" in rule else "a"
    rows = pd.DataFrame({"a": ["x", "y"], "b": ["u", "v"]}).astype(object)
    rows.loc[1, column] = missing
    report = check(write("a.chat.md", chat("{{row.a}}", rule=rule)), client=client, each=rows)
    assert list(report.result) == ["passed", "not asked"]
    problem = "the text is empty" if isinstance(missing, str) else "the value is missing"
    assert problem in report.reason[1]
    assert [text for text, _ in asked(sandbox)] == ["x"]


def test_rows_of_an_ambiguous_index_are_numbered(
    client: Client, sandbox: Sandbox, write: Write
) -> None:
    rows = pd.DataFrame({"a": ["x", "x", "y"]}, index=[7, 7, 8])
    report = check(write("a.chat.md", chat("{{row.a}}")), client=client, each=rows)
    assert list(report.row) == [0, 1, 2]
    assert len(asked(sandbox)) == 3


def test_answers_are_kept_until_they_are_judged(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("one", "two", rule="python: slow"))

    def slow(reply: Any) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(path, client=client, values={"slow": slow})
    report = check(path, client=client, values={"slow": bool})
    assert list(report.result) == ["passed"] * 2
    assert len(asked(sandbox)) == 2
    assert journals(folder) == []


def record(client: Client, file: Path, *questions: str) -> None:
    """Record a conversation and, after its first turn, a branch."""
    client.recorder = Recorder(Cassette(file))
    token = first = None
    for question in questions:
        reply = client.ask(question, token)
        token = reply.context_token
        first = first or token
    client.ask("branch", first)
    client.recorder = None


def test_a_recording_is_checked_in_the_same_way(
    client: Client, sandbox: Sandbox, folder: Path
) -> None:
    file = folder / "answers.jsonl"
    sandbox.set_faults(say="first words")
    record(client, file, "one {{x}}", "two")
    before = file.read_bytes()
    sandbox.log.clear()
    report = check(file, client=client)
    assert list(report.result) == ["passed"] * 3
    assert list(report.turn) == [1, 2, 3]
    texts = [text for text, _ in asked(sandbox)]
    assert texts == ["one {{x}}", "two", "branch"]
    sandbox.set_faults(say="other words")
    assert list(check(file, client=client).result) == ["changed"] * 3
    assert file.read_bytes() == before


def test_a_recording_of_another_service_is_not_asked(
    client: Client, sandbox: Sandbox, folder: Path
) -> None:
    record(client, folder / "a.jsonl", "one")
    agent = Client(
        "chatzy",
        base_url=sandbox.chatzy_url,
        stream_url=sandbox.chatzy_stream_url,
        chatbot_id="725e1f05-6142-467e-bdec-47862d50da79",
    )
    with agent:
        report = check(folder / "a.jsonl", client=agent)
    assert set(report.result) == {"not asked"}
    assert "another service (aeronpay)" in report.reason[0]


def test_chatzy_is_followed_and_not_branched(sandbox: Sandbox, folder: Path) -> None:
    with Client(
        "chatzy",
        base_url=sandbox.chatzy_url,
        stream_url=sandbox.chatzy_stream_url,
        chatbot_id="725e1f05-6142-467e-bdec-47862d50da79",
    ) as agent:
        agent.recorder = Recorder(Cassette(folder / "a.jsonl"), "record")
        for second in ("two", "three"):  # two conversations with the same beginning
            agent.ask(second, agent.ask("one").context_token)
        agent.recorder = None
        report = check(folder / "a.jsonl", client=agent)
    assert list(report.result) == ["passed", "passed", "not asked"]
    assert "cannot branch" in report.reason[2]


def test_against_takes_the_references_from_a_recording(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    turns = [f"## Question\n\n{one}\n\n## Reply\n\nold\n\n" for one in ("one", "two")]
    path = write("a.chat.md", "".join(turns))
    sandbox.set_faults(say="new")
    record(client, folder / "new.jsonl", "one", "two")
    assert list(check(path, client=client).result) == ["changed", "changed"]
    assert list(check(path, client=client, against="new.jsonl").result) == ["passed", "passed"]
    record(client, folder / "short.jsonl", "one")
    with pytest.raises(UsageError, match="turn 2: the recording of `--against` does not contain"):
        check(path, client=client, against="short.jsonl")


def test_a_replay_is_offline_and_equal_to_the_byte(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("one", "two"))
    record(client, folder / "a.jsonl", "one", "two")
    sandbox.log.clear()
    client.recorder = Recorder(Cassette(folder / "a.jsonl"), "replay", speed=1e-6)
    reports = [check(path, client=client, repeat=3).to_csv().encode() for _ in range(10)]
    assert set(reports) == {reports[0]}
    assert asked(sandbox) == []
    assert journals(folder) == []


def test_a_recorder_that_records_is_not_asked(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    """Otherwise a check would never notice a change."""
    sandbox.set_faults(say="old")
    record(client, folder / "a.jsonl", "one")
    before = (folder / "a.jsonl").read_bytes()
    sandbox.set_faults(say="new")
    client.recorder = Recorder(Cassette(folder / "a.jsonl"))
    report = check(write("a.chat.md", chat("one")), client=client)
    assert list(report.reply) == ["new"]
    assert (folder / "a.jsonl").read_bytes() == before


def interrupted_after(count: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the next check when so many questions were answered."""
    interrupted_when(lambda finished: finished >= count, monkeypatch)


def interrupted_when(due: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the next check as soon as ``due`` of the number of answers."""

    class Bar:
        def __enter__(self) -> Any:
            return self.watch

        def __exit__(self, *failure: object) -> None:
            pass

        def watch(self, finished: int) -> None:
            if due(finished):
                raise KeyboardInterrupt

    monkeypatch.setattr(api, "progress_bar", lambda total, shown, unit: Bar())


def test_after_an_interrupt_only_the_rest_is_asked(
    client: Client,
    sandbox: Sandbox,
    write: Write,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.set_faults(pause=0.01, say="a b c d e f")
    path = write("a.chat.md", chat(*(f"question {number}" for number in range(8))))
    with monkeypatch.context() as patch:
        interrupted_after(2, sandbox, patch)
        with pytest.raises(Interrupted) as caught:
            check(path, client=client, repeat=3, concurrency=2)
    report = caught.value.result
    assert len(report) == 24
    assert 2 <= (report.result == "passed").sum() < 24
    (journal,) = journals(folder)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.parent.stat().st_mode) == 0o700
    report = check(path, client=client, repeat=3)
    lost = report.reason == LOST  # stopped before the service had named a token
    assert (report.result[~lost & (report.result != "not asked")] == "passed").all()
    assert max(Counter(asked(sandbox)).values()) <= 3
    if lost.any():  # asked by the next check
        assert list(check(path, client=client, repeat=3).result) == ["passed"] * 24
    assert journals(folder) == []
    sandbox.log.clear()
    assert list(check(path, client=client, repeat=3).result) == ["passed"] * 24
    assert len(asked(sandbox)) == 24  # a finished check asks again


def test_an_interrupt_waits_for_the_tokens_of_what_was_sent(
    client: Client, sandbox: Sandbox, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next check fetches the replies, and asks the rest."""
    monkeypatch.setattr(io_loop, "TOKEN_GRACE", 20.0)
    sandbox.faults = Faults(latency=0.5, stall_after=300, stall_times=2)
    path = write("a.chat.md", chat("one", "two"))
    with monkeypatch.context() as patch:
        interrupted_when(lambda _: len(sandbox.log) == 2, patch)
        with pytest.raises(Interrupted) as caught:
            check(path, client=client, repeat=3, concurrency=2)
    found = Counter(caught.value.result.reason)
    assert found == {INTERRUPTED: 2, STOPPED: 4}
    assert Counter(caught.value.result.result) == {"error": 2, "not asked": 4}
    assert len(asked(sandbox)) == 2
    sandbox.set_faults()
    assert list(check(path, client=client, repeat=3).result) == ["passed"] * 6
    assert len(asked(sandbox)) == 6


def test_a_refused_turn_that_waits_at_an_interrupt_was_not_sent(
    client: Client, sandbox: Sandbox, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot have been charged: the next check asks it."""
    monkeypatch.setattr(io_loop, "TOKEN_GRACE", 60.0)
    sandbox.set_faults(refuse=(Refusal("create-response", 429, retry_after="30"),))
    path, waits = write("a.chat.md", chat("one")), threading.Event()
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        if seconds > 20:
            waits.set()
        await sleep(seconds)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", pause)
        interrupted_when(lambda _: waits.is_set(), patch)
        with pytest.raises(Interrupted) as caught:
            check(path, client=client)
    assert list(caught.value.result.result) == ["not asked"]
    assert list(check(path, client=client).result) == ["passed"]


def test_what_has_failed_is_asked_by_the_next_check_and_then_all(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("one", "two", "three"))
    sandbox.faults = Faults(refuse=(Refusal("create-response", 400, times=1),))
    other = write("b.chat.md", chat("four"))
    first = check(path, other, client=client, concurrency=1)
    assert list(first.result) == ["error", "not asked", "not asked", "passed"]
    second = check(path, other, client=client)
    assert list(second.result) == ["passed"] * 4
    assert [text for text, _ in asked(sandbox)].count("four") == 1
    check(path, other, client=client)
    assert [text for text, _ in asked(sandbox)].count("four") == 2


def test_a_row_that_is_never_asked_does_not_keep_the_answers_of_the_others(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("{{row.a}}", "and then?"))
    for counted in (1, 2):
        report = check(path, client=client, each=pd.DataFrame({"a": ["x", None]}))
        assert list(report.result) == ["passed", "passed", "not asked", "not asked"]
        assert [text for text, _ in asked(sandbox)].count("x") == counted
        assert journals(folder) == []


def test_answers_are_kept_for_one_more_check_only(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    """Where a turn fails each time, a change of the others would never be noticed."""
    good, bad = write("a.chat.md", chat("good")), write("b.chat.md", chat("bad"))
    for counted in (1, 1, 2):
        sandbox.faults = Faults(refuse=(Refusal("create-response", 400, times=1),))
        report = check(bad, good, client=client, concurrency=1)
        assert list(report.result) == ["error", "passed"]
        assert [text for text, _ in asked(sandbox)].count("good") == counted


def test_a_question_that_was_sent_without_a_token_is_reported_and_asked_by_the_next_check(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("one", "two", "three"))
    reply = client.ask("one")
    sandbox.log.clear()
    plan = api.plan_check(api.CheckRequest((str(path),)), client.settings, {})
    with api.open_journal(client.settings, None, plan.files) as journal:
        assert journal is not None
        journal.answer(plan.runs[0].turns[0].key, reply)
        journal.sent(plan.runs[0].turns[1].key)
    report = check(path, client=client)
    assert list(report.result) == ["passed", "error", "not asked"]
    assert report.reason[1] == LOST
    assert asked(sandbox) == []
    assert list(check(path, client=client).result) == ["passed"] * 3
    assert [text for text, _ in asked(sandbox)] == ["two", "three"]


def test_a_question_whose_token_is_known_is_fetched(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("one", "two"))
    plan = api.plan_check(api.CheckRequest((str(path),)), client.settings, {})
    with api.open_journal(client.settings, None, plan.files) as journal:
        assert journal is not None
        journal.sent(plan.runs[0].turns[0].key)
        journal.token(plan.runs[0].turns[0].key, str(client.ask("one").context_token))
    report = check(path, client=client)
    assert list(report.result) == ["passed", "passed"]
    assert [text for text, _ in asked(sandbox)] == ["one", "two"]
    assert len(sandbox.log.of("fetch-response")) == 1


@pytest.mark.parametrize(
    ("message", "times"), [("No such key.", 1), ("The context_token has expired.", 2)]
)
def test_a_question_whose_reply_cannot_be_fetched_now_is_not_asked_again(
    client: Client, sandbox: Sandbox, write: Write, folder: Path, message: str, times: int
) -> None:
    """Unless its token has expired: that is reported, and the next check asks it."""
    path = write("a.chat.md", chat("one"))
    plan = api.plan_check(api.CheckRequest((str(path),)), client.settings, {})
    with api.open_journal(client.settings, None, plan.files) as journal:
        assert journal is not None
        journal.sent(plan.runs[0].turns[0].key)
        journal.token(plan.runs[0].turns[0].key, str(client.ask("one").context_token))
    sandbox.set_faults(refuse=(Refusal("fetch-response", 400, message=message),))
    assert list(check(path, client=client).result) == ["error"]
    assert list(check(path, client=client).result) == ["passed"]
    assert len(asked(sandbox)) == times


def test_two_checks_of_the_same_files_exclude_each_other(
    client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("one"))
    with (
        api.open_journal(client.settings, None, [path]),
        pytest.raises(UsageError, match="running in another"),
    ):
        check(path, client=client)
    assert asked(sandbox) == []


def full_disk(*mark: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("mark", "results"),
    [
        ("sent", ["not asked", "not asked"]),
        ("token", ["passed", "not asked"]),
        ("answer", ["passed", "not asked"]),
    ],
)
def test_a_full_disk_stops_a_check_and_keeps_the_reply_that_was_asked_for(
    mark: str,
    results: list[str],
    client: Client,
    sandbox: Sandbox,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write("a.chat.md", chat("one", "two"))
    with monkeypatch.context() as patch:
        patch.setattr(api.Journal, mark, full_disk)
        report = check(path, client=client)
    assert list(report.result) == results
    assert "cannot keep what it asked: No space left" in report.reason[results.index("not asked")]
    assert [text for text, _ in asked(sandbox)] == ["one", "two"][: results.count("passed")]
    assert bool(report.reply[0]) == (results[0] == "passed")
    again = check(path, client=client)
    if mark == "answer":  # its token is known
        assert len(sandbox.log.of("fetch-response")) == 1
    assert list(again.result) == ["passed", "passed"]
    assert [text for text, _ in asked(sandbox)] == ["one", "two"]


@pytest.mark.parametrize("mark", ["token", "answer"])
def test_a_full_disk_during_the_last_question(
    mark: str,
    client: Client,
    sandbox: Sandbox,
    write: Write,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If each turn has an answer, nothing is lost; else the next check may ask again."""
    path, other = write("a.chat.md", chat("one")), write("b.chat.md", chat("two"))
    monkeypatch.setattr(api.Journal, mark, full_disk)
    assert list(check(path, client=client).result) == ["passed"]
    assert journals(folder) == []
    sandbox.faults = Faults(refuse=(Refusal("create-response", 400, times=1),))
    with pytest.warns(UserWarning, match="No space left on device; the next check may ask"):
        report = check(path, other, client=client, concurrency=1)
    assert list(report.result) == ["error", "passed"]


@pytest.mark.parametrize(
    ("history", "mark", "part"),
    [
        ("on", "discard", "is kept"),
        ("on", "answer", "may ask again .* No space left"),
        ("off", "answer", "Nothing of it is kept"),
    ],
)
def test_an_interrupt_says_whether_the_answers_are_kept(
    history: str,
    mark: str,
    part: str,
    client: Client,
    sandbox: Sandbox,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write("a.chat.md", chat("one", "two"))
    if history == "off":
        monkeypatch.setenv("AERON_HISTORY", "off")
    monkeypatch.setattr(api.Journal, mark, full_disk)
    sandbox.set_faults(say="a b c d", pause=0.1)
    interrupted_after(1, sandbox, monkeypatch)
    with pytest.raises(Interrupted) as caught:
        check(path, client=client)
    assert re.search(part, str(caught.value.hint))


def test_a_full_disk_while_a_failure_is_kept_does_not_hide_it(
    client: Client, sandbox: Sandbox, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.chat.md", chat("one", "two"))
    sandbox.faults = Faults(refuse=(Refusal("create-response", 400, times=1),))
    monkeypatch.setattr(api.Journal, "failed", full_disk)
    with pytest.warns(UserWarning, match="No space left"):
        report = check(path, client=client)
    assert list(report.result) == ["error", "not asked"]
    assert "ServiceError" in report.reason[0]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of files on Windows")
def test_a_mark_that_is_written_in_part_is_removed(folder: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with api.Journal(folder / "checks" / "a.jsonl") as journal:
        journal.sent("a")
        size = (folder / "checks" / "a.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3, limits[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                journal.sent("b")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list(journal.open) == ["a"]
        journal.token("a", "t")
    with api.Journal(folder / "checks" / "a.jsonl") as journal:
        assert journal.open == {"a": "t"}


def test_a_journal_that_cannot_be_deleted_is_emptied(
    client: Client, sandbox: Sandbox, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, which deletes no open file."""
    path = write("a.chat.md", chat("one"))
    monkeypatch.setattr(Path, "unlink", lambda *mark, **options: full_disk())
    for count in (1, 2):
        assert list(check(path, client=client).result) == ["passed"]
        assert len(asked(sandbox)) == count


@pytest.mark.parametrize("damage", ["garbage", "json", "half", "other"])
def test_a_damaged_journal_is_no_obstacle(
    damage: str, client: Client, sandbox: Sandbox, write: Write, folder: Path
) -> None:
    path = write("a.chat.md", chat("one"))
    with api.open_journal(client.settings, None, [path]):
        pass
    (journal,) = journals(folder)
    key = "0" * 24
    texts = {
        "garbage": b"\xff\x00\n" * 100,
        "json": b'[1]\n{}\n[]\n["sent"]\n["answer", "a"]\n["token","a",""]\n["sent","a","b"]\n',
        "half": b'["sent", "a',
        "other": json.dumps(["answer", key, "t", "complete", "x"]).encode(),
    }
    journal.write_bytes(texts[damage])
    assert list(check(path, client=client).result) == ["passed"]
    assert len(asked(sandbox)) == 1


def test_a_journal_is_deleted_after_some_time(client: Client, write: Write, folder: Path) -> None:
    path, other = write("a.chat.md", chat("one")), write("b.chat.md", chat("two"))
    for file in (path, other):
        with api.open_journal(client.settings, None, [file]):
            pass
    old, new = journals(folder)
    os.utime(old, (0, 0))
    check(write("c.chat.md", chat("three")), client=client)
    assert journals(folder) == [new]


def test_a_requested_progress_bar_needs_its_package(
    client: Client, sandbox: Sandbox, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked."""
    monkeypatch.setattr("aeron_magic.defaults.find_spec", lambda name: None)
    path = write("a.chat.md", chat("one"))
    with pytest.raises(UsageError, match="progress bar needs a package"):
        check(path, client=client, progress=True)
    assert asked(sandbox) == []


def test_a_clock_that_is_wrong_today_deletes_no_journal(
    client: Client, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api.open_journal(client.settings, None, [write("a.chat.md", chat("one"))]):
        pass
    later = time.time() + 400 * 86_400
    monkeypatch.setattr("aeron_magic.checks.journal.time.time", lambda: later)
    check(write("b.chat.md", chat("two")), client=client)
    assert len(journals(folder)) == 1


def test_without_a_place_or_with_the_history_off_a_check_works(
    client: Client, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.chat.md", chat("one"))
    for setting in ("off", "of"):  # a cell asks with a setting that cannot be used, too
        monkeypatch.setenv("AERON_HISTORY", setting)
        assert list(check(path, client=client).result) == ["passed"]
        assert not (folder / "data").exists()
    monkeypatch.setenv("AERON_HISTORY", "h.sqlite3")
    monkeypatch.setenv("XDG_DATA_HOME", os.devnull)
    assert list(check(path, client=client).result) == ["passed"]


def test_a_check_stops_when_nothing_can_be_reached(write: Write, folder: Path) -> None:
    path = write("a.chat.md", chat("one {{row}}"))
    with Sandbox() as sandbox:
        client = Client(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b")
        sandbox.faults = Faults(refuse=(Refusal("create-response", 401, times=1000),))
        with client:
            report = check(path, client=client, each=list(range(40)))
        count = len(asked(sandbox))
    assert MAX_FAILURES <= count <= MAX_FAILURES + 4
    assert (report.result == "error").sum() == count
    assert "in a row have failed" in report.reason[39]
