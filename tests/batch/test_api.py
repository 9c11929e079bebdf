"""``ask_many`` against the sandbox, in this process."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import aeron_magic
from aeron_magic import (
    AeronError,
    Client,
    IncompleteReply,
    Interrupted,
    RateLimited,
    RecordingError,
    ServiceError,
    TokenError,
    UsageError,
    ValueRefused,
    ask_many,
    defaults,
    progress,
)
from aeron_magic.batch.question import BatchConfig, BatchQuestion, RowResult
from aeron_magic.batch.runner import BatchRun, Counts
from aeron_magic.client import io_loop
from aeron_magic.conversations.kept_rows import KeptRows, RowState
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Faults, Refusal, Sandbox
from aeron_magic.sandbox.request_log import LoggedRequest
from aeron_magic.services.settings import Settings

SECRET = "hush-4f1c-hush"


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    """How to reach the sandbox."""
    return Settings("aeronpay", sandbox.aeronpay_url, client_id="me", client_secret=SECRET)


@pytest.fixture
def chatzy(sandbox: Sandbox) -> Settings:
    addresses = sandbox.chatzy_url, sandbox.chatzy_stream_url
    return Settings("chatzy", *addresses, chatbot_id="725e1f05-6142-467e-bdec-47862d50da79")


def asked(sandbox: Sandbox) -> list[str]:
    """The questions in order of arrival."""
    return [seen.body["user"]["text"] for seen in sandbox.log.of("create-response")]


def new_token(settings: Settings) -> str:
    """The token of a reply that can be fetched."""
    with Client(settings=settings) as client:
        return str(client.ask("x").context_token)


def test_the_package_exports_it() -> None:
    assert aeron_magic.ask_many is ask_many


def test_each_prompt_starts_a_conversation(sandbox: Sandbox, settings: Settings) -> None:
    """The replies are in the order of the prompts, not of arrival."""
    result = ask_many([f"Classify: it is {word}" for word in ("good", "bad")], settings=settings)
    with Client(settings=settings) as client:
        alone = [client.ask(question).text for question in result.item]
    assert list(result.reply) == alone
    assert alone[0] != alone[1]
    assert all("context_token" not in seen.body for seen in sandbox.log.of("create-response"))
    assert (result.seconds > 0).all()


@pytest.mark.parametrize("library", [pd, pl])
def test_a_template_is_filled_with_the_rows_of_a_frame(
    sandbox: Sandbox, settings: Settings, library: object
) -> None:
    frame = library.DataFrame({"text": ["a", "b"], "n": [1, 2]})  # type: ignore[attr-defined]
    result = ask_many(frame, "Say {{row.text}} {{row.n}}", settings=settings, concurrency=1)
    assert asked(sandbox) == ["Say a 1", "Say b 2"]
    assert list(result["n"]) == [1, 2]


def test_a_client_gives_service_and_credentials(sandbox: Sandbox, settings: Settings) -> None:
    """Images and the token are sent with each question."""
    with Client(settings=settings) as client:
        start = client.ask("Hello").context_token
        ask_many(["x", "y"], client=client, after=start, images=["http://x.org/a.png"])
    for seen in sandbox.log.of("create-response")[1:]:
        assert seen.body["context_token"] == start
        assert seen.body["user"]["images"] == ["http://x.org/a.png"]


def test_streaming_can_be_disabled(sandbox: Sandbox, settings: Settings) -> None:
    result = ask_many(["x"], settings=settings, stream=False)
    assert list(result.status) == ["complete"]
    assert [seen.body["stream"] for seen in sandbox.log.of("create-response")] == [False]


def test_as_many_questions_run_at_once_as_allowed(sandbox: Sandbox, settings: Settings) -> None:
    sandbox.faults = Faults(latency=0.05)
    most = 0

    def count(seen: list[object]) -> bool:
        nonlocal most
        most = max(most, sum(not one.done for one in seen))  # type: ignore[attr-defined]
        return False

    watching = threading.Thread(target=sandbox.log.wait, args=(count, 1.0))
    watching.start()
    ask_many([f"q {n}" for n in range(20)], settings=settings, concurrency=5)
    watching.join()
    assert most == 5


def test_connections_are_kept(sandbox: Sandbox, settings: Settings) -> None:
    """Not one per row; a busy machine may need more than the three that run at once."""
    accepted = []
    server = sandbox._server
    assert server is not None
    usual = server.process_request
    server.process_request = lambda *given: (accepted.append(1), usual(*given))  # type: ignore[assignment]
    ask_many([f"q {n}" for n in range(30)], settings=settings, concurrency=3)
    assert 3 <= len(accepted) <= 15


def test_a_failed_row_does_not_affect_the_others(sandbox: Sandbox, settings: Settings) -> None:
    """Its error has no traceback, which would keep all received data alive."""
    refused = (Refusal("create-response", 500), Refusal("create-response", 400))
    sandbox.faults = Faults(refuse=refused)
    result = ask_many(["a", "b", "c"], settings=settings, concurrency=1)
    assert list(result.status) == ["incomplete", "failed", "complete"], "the first may be charged"
    assert "HTTP status 500." in result.error[0]
    sandbox.faults = Faults(refuse=(Refusal("create-response", 500),))
    (row,) = ask_many(["a"], settings=settings, frame=False)
    assert row.error.status_code == 500
    assert row.error.__traceback__ is None


def test_a_reply_whose_stream_is_lost_is_fetched(sandbox: Sandbox, settings: Settings) -> None:
    sandbox.faults = Faults(cut_after=400)
    assert list(ask_many(["a"], settings=settings).status) == ["recovered"]


def test_invalid_items_fail_alone(sandbox: Sandbox, settings: Settings) -> None:
    """An empty text, a missing value; if all items are invalid, the call raises."""
    result = ask_many(["a", "", None], settings=settings)
    assert list(result.status) == ["complete", "failed", "failed"]
    assert list(result.error[1:]) == ["The text is empty.", "The item is missing."]
    assert len(asked(sandbox)) == 1
    with pytest.raises(UsageError, match=r"^In all 2 rows: Expected a question"):
        ask_many([1, 2], settings=settings)
    several = r"^None of the 2 rows can be sent\. The first: Expected a question"
    with pytest.raises(UsageError, match=several):
        ask_many([1, None], settings=settings)
    with pytest.raises(ValueRefused, match=r"^\{\{row.txet"):
        ask_many([{"text": 1}], "{{row.txet}}", settings=settings)
    assert len(asked(sandbox)) == 1


def test_no_secret_is_sent_in_a_row(sandbox: Sandbox, settings: Settings) -> None:
    """That row is rejected, the others are asked."""
    result = ask_many(["fine", f"my {SECRET}"], "Say {{row}}", settings=settings)
    assert list(result.status) == ["complete", "failed"]
    assert SECRET not in str(result.error[1])
    result = ask_many(["also fine", f"my {SECRET}", SECRET.upper()], settings=settings)
    assert list(result.status) == ["complete", "failed", "failed"]
    assert len(asked(sandbox)) == 2
    with pytest.raises(ValueRefused) as caught:
        ask_many(["a", "b"], f"{{{{row}}}} {SECRET}", settings=settings)
    assert SECRET not in "".join(caught.value.lines())
    assert len(asked(sandbox)) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"columns": f"mood: good|{SECRET}"},
        {"images": [f"https://example.com/{SECRET}.png"]},
        {"after": SECRET},
    ],
)
def test_no_secret_is_sent_with_all_rows(
    sandbox: Sandbox, settings: Settings, options: dict[str, object]
) -> None:
    """In the request for columns, an image or the token, which all rows share."""
    with pytest.raises(ValueRefused) as caught:
        ask_many(["a", "b"], "Say {{row}}", settings=settings, **options)
    assert SECRET not in "".join(caught.value.lines())
    assert not asked(sandbox)


def test_the_rate_is_kept(sandbox: Sandbox, settings: Settings) -> None:
    """Eleven requests at 20 per second take half a second, with any concurrency."""
    began = time.monotonic()
    ask_many([f"q {n}" for n in range(11)], settings=settings, concurrency=11, rate=20)
    assert 0.5 <= time.monotonic() - began < 3


def test_retry_after_of_one_row_pauses_all(sandbox: Sandbox, settings: Settings) -> None:
    sandbox.faults = Faults(
        latency=0.02, refuse=(Refusal("create-response", 429, retry_after="1"),)
    )
    times: list[float] = []
    seen_before = 0

    def note(seen: list[object]) -> bool:
        nonlocal seen_before
        times.extend([time.monotonic()] * (len(seen) - seen_before))
        seen_before = len(seen)
        return seen_before == 13

    watching = threading.Thread(target=sandbox.log.wait, args=(note, 50))
    watching.start()
    result = ask_many([f"q {n}" for n in range(12)], settings=settings, concurrency=2)
    watching.join()
    assert list(result.status) == ["complete"] * 12
    assert any(later - earlier > 0.8 for earlier, later in pairwise(times))
    assert len(times) == 13


def test_a_rate_limited_row_is_tried_again_last(sandbox: Sandbox, settings: Settings) -> None:
    """When all its retries were refused."""
    refused = Refusal("create-response", 429, times=5, retry_after="0")
    sandbox.faults = Faults(refuse=(refused,))
    result = ask_many(["a", "b"], settings=settings, concurrency=1)
    assert list(result.status) == ["complete", "complete"]


def test_it_runs_inside_a_running_loop(sandbox: Sandbox, settings: Settings) -> None:
    """As in a notebook."""

    async def cell() -> list[str]:
        return list(ask_many(["a"], settings=settings).status)

    assert asyncio.run(cell()) == ["complete"]


def test_a_checkpoint_asks_once(sandbox: Sandbox, settings: Settings, tmp_path: Path) -> None:
    """Recorded rows are replayed; the same question is asked once for all its rows."""
    file = tmp_path / "labels.jsonl"
    prompts = ["a", "b", "a", "c", "b"]
    first = ask_many(prompts, settings=settings, checkpoint=file)
    assert sorted(asked(sandbox)) == ["a", "b", "c"]
    assert len(Cassette(file)) == 3
    before = file.read_bytes()
    again = ask_many([*prompts, "d"], settings=settings, checkpoint=file)
    assert sorted(asked(sandbox)) == ["a", "b", "c", "d"]
    assert list(again.reply)[:5] == list(first.reply)
    assert file.read_bytes().startswith(before)
    assert SECRET.encode() not in file.read_bytes()


def recorded(file: Path) -> list[str]:
    """The questions in a recording, in order."""
    return [record.question for record in Cassette(file)]


def wait_until(condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` holds within 20 seconds."""
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_rows_are_recorded_in_their_order(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order in which they end; the turns of others stay in their places."""
    file, orders = tmp_path / "rows.jsonl", []
    arrange = Cassette.arrange

    def observe(cassette: Cassette, keys: Any) -> None:
        orders.append(recorded(file))
        arrange(cassette, keys)

    monkeypatch.setattr(Cassette, "arrange", observe)
    ask_many(["other"], settings=settings, checkpoint=file)
    ask_many(["c"], settings=settings, checkpoint=file)
    ask_many(["another"], settings=settings, checkpoint=file)
    sandbox.set_faults(stall_after=300, stall_times=1, stall_seconds=1)  # the first reply
    rows = ["a", "b", "c", "b", "d"]
    ask_many(rows, settings=settings, checkpoint=file, concurrency=2)
    assert orders[-1][3:] in (["b", "d", "a"], ["a", "d", "b"])
    assert recorded(file) == ["other", "a", "another", "b", "c", "d"]
    before = file.stat()
    assert set(ask_many(rows[::-1], settings=settings, checkpoint=file).status) == {"complete"}
    assert file.stat() == before


def test_the_rows_of_an_interrupted_batch_are_recorded_in_their_order(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    ask_many(["c"], settings=settings, checkpoint=file)
    sandbox.log.clear()
    sandbox.set_faults(stall_after=2000, stall_times=1)
    pressing = interrupt_when(lambda: wait_until(lambda: "b" in recorded(file)))
    with pytest.raises(Interrupted):
        ask_many(["x", "a", "b", "c"], settings=settings, checkpoint=file, concurrency=2)
    pressing.join()
    assert recorded(file) == ["x", "a", "b", "c"]


def test_a_checkpoint_asks_nothing_while_a_recording_is_replayed(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """Its own rows are answered; the others fail as in a replay."""
    file = tmp_path / "labels.jsonl"
    ask_many(["a"], settings=settings, checkpoint=file)
    replaying = Recorder(Cassette(tmp_path / "talk.jsonl"), "replay")
    with Client(settings=settings, recorder=replaying) as client:
        assert list(ask_many(["a"], client=client, checkpoint=file).status) == ["complete"]
        with pytest.raises(RecordingError, match="does not contain the questions") as caught:
            ask_many(["a", "b"], client=client, checkpoint=file)
    assert list(caught.value.result.status) == ["complete", "failed"]
    assert "replay off" in caught.value.hint
    assert asked(sandbox) == ["a"]


def test_questions_that_a_batch_sends_again_are_not_said_of_the_next_question(
    settings: Settings, tmp_path: Path
) -> None:
    store = Cassette(tmp_path / "talk.jsonl")
    with Client(settings=settings, recorder=Recorder(store)) as client:
        client.ask("a")
    recorder = Recorder(store)
    with Client(settings=settings, recorder=recorder) as client:
        token = client.ask("a").context_token
        assert list(ask_many(["b"], client=client, after=token).status) == ["complete"]
    assert recorder.resent_note() == ""


def test_rows_that_were_rejected_are_asked_again_by_a_checkpoint(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """And replaced in the recording; nothing is left beside it."""
    sandbox.faults = Faults(refuse=(Refusal("create-response", 400),))
    file = tmp_path / "labels.jsonl"
    first = ask_many(["a", "b"], settings=settings, checkpoint=file, concurrency=1)
    assert list(first.status) == ["failed", "complete"]
    assert list(ask_many(["a", "b"], settings=settings, checkpoint=file).status) == ["complete"] * 2
    assert asked(sandbox) == ["a", "b", "a"]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("status", [500, 502, 504])
def test_rows_that_may_have_been_charged_are_not_asked_again(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, status: int
) -> None:
    """Though often the batch is run, unless that is requested; the same question shares the row."""
    sandbox.faults = Faults(refuse=(Refusal("create-response", status),))
    file = tmp_path / "labels.jsonl"
    rows = ["a", "b", "a"]
    ask_many(rows, settings=settings, checkpoint=file, concurrency=1)
    for _ in range(2):
        again = ask_many(rows, settings=settings, checkpoint=file)
        assert list(again.status) == ["incomplete", "complete", "incomplete"]
        assert "may have been charged" in str(again.error[0])
    assert asked(sandbox) == ["a", "b"]
    last = ask_many(rows, settings=settings, checkpoint=file, ask_again=True)
    assert list(last.status) == ["complete"] * 3
    assert asked(sandbox) == ["a", "b", "a"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_reply_whose_token_is_known_is_fetched_in_the_next_run(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """Also if the stream and the fetches of the first run failed."""
    sandbox.faults = Faults(
        stall_after=300, stall_times=9, refuse=(Refusal("fetch-response", 400),)
    )
    short = replace(settings, timeout=0.2, fetch_timeout=1.0)
    file = tmp_path / "labels.jsonl"
    first = ask_many(["a"], settings=short, checkpoint=file)
    assert list(first.status) != ["complete"]
    sandbox.set_faults(stall_times=0)
    again = ask_many(["a"], settings=settings, checkpoint=file)
    assert list(again.status) == ["complete"]
    assert asked(sandbox) == ["a"]
    assert list(tmp_path.iterdir()) == [file]


REFUSALS = (
    Refusal("fetch-response", 400, 99),
    Refusal("fetch-response", 401, 99),
    Refusal("fetch-response", 403, 99, message="This IP address is not on the allow-list."),
    Refusal("fetch-response", 429, 99, retry_after="99"),
    Refusal("fetch-response", 200, 99),
    Refusal("fetch-response", times=99, page="drop"),
)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_reply_that_cannot_be_fetched_now_is_fetched_later(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, refusal: Refusal
) -> None:
    """Nothing is asked again, whatever the reason: the question was accepted."""
    file, short = tmp_path / "labels.jsonl", replace(settings, fetch_timeout=0.2)
    sandbox.faults = Faults(cut_after=300, cut_times=1, refuse=(refusal,))
    for _ in range(2):
        assert list(ask_many(["a"], settings=short, checkpoint=file).status) != ["complete"]
    sandbox.faults = Faults()
    assert list(ask_many(["a"], settings=settings, checkpoint=file).status) == ["complete"]
    assert asked(sandbox) == ["a"]


@pytest.mark.parametrize("status", [302, 400, 403, 404, 409, 413])
def test_an_accepted_question_of_chatzy_is_not_asked_again(
    sandbox: Sandbox, chatzy: Settings, tmp_path: Path, status: int
) -> None:
    """The service took the question, and then refuses the stream of its reply."""
    file = tmp_path / "labels.jsonl"
    page = "redirect" if status == 302 else "json"
    sandbox.faults = Faults(refuse=(Refusal("get-response", status, page=page),))
    (row,) = ask_many(["a"], settings=chatzy, checkpoint=file, frame=False)
    assert isinstance(row.error, ServiceError)
    assert "charged a second time" in row.error.hint
    assert list(ask_many(["a"], settings=chatzy, checkpoint=file).status) == ["incomplete"]
    assert len(sandbox.log.of("get_inference")) == 1


def test_equal_questions_share_one_request(sandbox: Sandbox, settings: Settings) -> None:
    result = ask_many(["a", "b", "a"], settings=settings)
    assert sorted(asked(sandbox)) == ["a", "b"]
    assert list(result.status) == ["complete"] * 3
    assert result.reply[0] == result.reply[2]


def test_kept_rows_are_not_asked_again(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """Also by another kernel; ``ask_again`` asks them, and another service does not have them."""

    def run(prompts: list[str], *, again: bool = False, scope: str = "") -> BatchRun:
        kept = KeptRows(tmp_path / "history", scope=scope)
        batch = BatchRun(BatchConfig(settings, kept=kept, ask_again=again), prompts)
        announced, before = batch.counts.to_ask, len(asked(sandbox))
        batch.run()
        kept.close()
        assert len(asked(sandbox)) - before == announced
        assert all(one is not None and one.is_complete for one in batch.results)
        return batch

    first = run(["a", "b", "a"])
    assert first.counts == Counts(3, 2, kept=0, to_fetch=0, in_doubt=0, to_ask=2)
    second = run(["a", "b", "c"])
    assert second.counts == Counts(3, 3, kept=2, to_fetch=0, in_doubt=0, to_ask=1)
    assert second.results[:2] == first.results[:2]
    assert run(["a"], again=True).counts.to_ask == 1
    assert run(["a"], scope="sandbox").counts.to_ask == 1


def test_two_kernels_with_the_same_rows_ask_each_once(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """What the other has asked since is used, fetched, or left to it."""
    rows, kept = ["answered", "begun", "sent", "new"], [KeptRows(tmp_path / "x") for _ in range(3)]
    batches = [BatchRun(BatchConfig(settings, kept=one), rows) for one in kept[:2]]
    keys = [one.key for one in batches[0]._open]
    sandbox.faults = Faults(say="x")
    for one, token in zip(keys[1:3], (new_token(settings), ""), strict=True):
        kept[2].mark_sent(one, settings.conversation_scope)
        kept[2].mark_token(one, token)
    sandbox.log.clear()
    for batch in batches:
        assert batch.counts.to_ask == 4
        batch.run()
        found = batch.results
        assert [one is not None and one.is_complete for one in found] == [True, True, False, True]
        assert found[2] is not None
        assert "Another kernel is asking this question" in str(found[2].error)
    assert sorted(asked(sandbox)) == ["answered", "new"]
    sent = [[isinstance(row, BatchQuestion) and row.is_sent for row in one.rows] for one in batches]
    assert sent == [[True, False, False, True], [False] * 4]
    for one in kept:
        one.close()


def test_a_row_that_was_refused_can_be_asked_by_another_kernel_only_once(
    settings: Settings, tmp_path: Path
) -> None:
    """It is free until this kernel asks again, which it does not if the other one was faster."""
    kept = [KeptRows(tmp_path / "x") for _ in range(2)]
    here, there = (BatchRun(BatchConfig(settings, kept=one), ["row"])._open[0] for one in kept)
    refused = RowResult(error=RateLimited("Too many requests.", status_code=429))
    for _ in range(2):
        here.sending()
        here.sending()  # the second attempt of the same question
        with pytest.raises(AeronError, match="Another kernel"):
            there.sending()
        here.keep(refused)
    there.sending()
    with pytest.raises(AeronError, match="Another kernel") as caught:
        here.sending()
    here.keep(RowResult(error=caught.value))
    assert kept[0].get(here.key, settings.conversation_scope) == RowState()
    for one in kept:
        one.close()


def test_a_row_of_another_kernel_that_is_asked_here_is_asked_once(settings: Settings) -> None:
    """Also if it is refused first, and there is no token by which it could be fetched."""
    kept = KeptRows(None)
    batch = BatchRun(BatchConfig(settings, kept=kept, ask_again=True), ["row"])
    kept.mark_sent(batch._open[0].key, settings.conversation_scope)
    refused = RowResult(error=RateLimited("Too many requests.", status_code=429))
    results = [refused, RowResult(Reply("a", "complete", service="chatzy"))]

    async def ask(row: BatchQuestion) -> RowResult:
        try:
            row.sending()
        except AeronError as error:
            return RowResult(error=error)
        return results.pop(0)

    asyncio.run(batch._ask_all(ask))
    assert not results
    assert [one is not None and one.is_complete for one in batch.results] == [True]


def test_a_refused_row_that_waits_when_the_batch_stops_was_not_interrupted(
    settings: Settings,
) -> None:
    """Its result is still that it was refused."""
    batch = BatchRun(BatchConfig(settings, kept=KeptRows(None)), ["row"])
    refused = RowResult(error=RateLimited("Too many requests.", status_code=429))

    tries = iter([False, True])

    async def ask(row: BatchQuestion) -> RowResult:
        if next(tries):
            batch._stopped.set()  # while it waits for the rate limit
        try:
            row.sending()
        except asyncio.CancelledError:
            return RowResult(error=Interrupted("The question was interrupted."))
        return refused

    asyncio.run(batch._ask_all(ask))
    assert batch.results == [refused]


def test_a_recording_comes_before_the_kept_rows(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """A kept row is recorded without being asked; in mode replay only the recording counts."""
    kept, file = KeptRows(None), tmp_path / "a.jsonl"
    BatchRun(BatchConfig(settings, kept=kept), ["a"]).run()
    recorder = Recorder(Cassette(file))
    recording = BatchRun(BatchConfig(settings, kept=kept, recorder=recorder), ["a", "b"])
    assert recording.counts == Counts(2, 2, kept=1, to_fetch=0, in_doubt=0, to_ask=1)
    recording.run()
    assert sorted(asked(sandbox)) == ["a", "b"]
    sandbox.set_faults(say="another answer")
    fresh = KeptRows(None)
    replaying = BatchConfig(settings, kept=fresh, recorder=Recorder(Cassette(file), "replay"))
    batch = BatchRun(replaying, ["a", "b", "c"])
    batch.run()
    assert "1 without a recorded answer" in str(batch.counts)
    texts = [one.reply.text for one in batch.results if one and one.reply]
    assert texts[:2] == [one.reply.text for one in recording.results if one and one.reply]
    assert batch.results[2] is not None
    assert isinstance(batch.results[2].error, RecordingError)
    assert len(asked(sandbox)) == 2


def test_two_batches_do_not_use_a_checkpoint_at_once(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """The second sends nothing."""
    sandbox.faults = Faults(latency=0.3)
    file = tmp_path / "labels.jsonl"
    first = threading.Thread(
        target=ask_many, args=(["a"],), kwargs={"settings": settings, "checkpoint": file}
    )
    first.start()
    assert sandbox.log.wait(lambda seen: len(seen) == 1)
    with pytest.raises(RecordingError, match="another batch"):
        ask_many(["a", "b"], settings=settings, checkpoint=file)
    first.join()
    assert asked(sandbox) == ["a"]


def test_nothing_is_sent_where_the_checkpoint_cannot_be_written(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "labels.jsonl.pending").mkdir()
    with pytest.raises(RecordingError, match="cannot be"):
        ask_many(["a", "b"], settings=settings, checkpoint=tmp_path / "labels.jsonl")
    assert asked(sandbox) == []


def test_a_reply_that_could_not_be_recorded_is_not_asked_again(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """It is kept beside the checkpoint, and recorded by the next run."""
    file = tmp_path / "labels.jsonl"
    broken = OSError(28, "No space left on device")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cassette, "_append", lambda self, record: (_ for _ in ()).throw(broken))
        with pytest.warns(UserWarning, match="not recorded"):
            ask_many(["a"], settings=settings, checkpoint=file)
    assert list(ask_many(["a"], settings=settings, checkpoint=file).status) == ["complete"]
    assert asked(sandbox) == ["a"]
    assert len(Cassette(file)) == 1
    assert list(tmp_path.iterdir()) == [file]


def test_replayed_questions_before_a_batch_are_sent_again_once(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """Not by each worker; and not if all rows are recorded. They are counted as requests."""
    file = tmp_path / "talk.jsonl"
    rows = [f"q {number}" for number in range(8)]

    def client() -> Client:
        return Client(settings=settings, recorder=Recorder(Cassette(file)))

    with client() as recording, client() as replaying, client() as again:
        recording.ask("start")
        token = replaying.ask("start").context_token
        counts = "8 different questions (0 already answered, 8 to ask), 1 earlier question to ask"
        with pytest.raises(UsageError, match=re.escape(counts)):
            ask_many(rows, client=replaying, after=token, at_most=8)
        ask_many(rows, client=replaying, after=token, at_most=9)
        assert sorted(asked(sandbox)) == sorted(["start", "start", *rows])
        ask_many(rows, client=again, after=again.ask("start").context_token)
        assert len(asked(sandbox)) == 10


class WatchedRows(KeptRows):
    """Rows in memory; ``tokens`` counts those that got a token."""

    def __init__(self) -> None:
        super().__init__(None)
        self.tokens = threading.Semaphore(0)

    def mark_token(self, key: str, token: str) -> None:
        super().mark_token(key, token)
        self.tokens.release()


def interrupt_when(condition: Callable[[], bool]) -> threading.Thread:
    """Send SIGINT when ``condition`` returns."""

    def send_sigint() -> None:
        assert condition()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send_sigint)
    thread.start()
    return thread


def test_an_interrupt_keeps_the_results_so_far(sandbox: Sandbox, settings: Settings) -> None:
    """It is raised at once; its result has every row."""
    sandbox.faults = Faults(say="one two three")
    kept = WatchedRows()
    config = BatchConfig(settings, concurrency=2, kept=kept)
    BatchRun(config, ["a"]).run()
    sandbox.set_faults(stall_after=300, stall_times=9)
    pressing = interrupt_when(lambda: all(kept.tokens.acquire(timeout=20) for _ in range(3)))
    batch = BatchRun(config, ["a", "b", "c", "d"])
    assert batch.counts == Counts(4, 4, kept=1, to_fetch=0, in_doubt=0, to_ask=3)
    began = time.monotonic()
    with pytest.raises(Interrupted, match="1 of 4 rows"):
        batch.run()
    pressing.join()
    assert time.monotonic() - began < 3
    statuses = [one.reply.status if one and one.reply else None for one in batch.results]
    assert statuses == ["complete", "interrupted", "interrupted", None]
    sandbox.faults = Faults(say="one two three")
    again = BatchRun(config, ["a", "b", "c", "d"])
    assert again.counts == Counts(4, 4, kept=1, to_fetch=2, in_doubt=0, to_ask=1)
    again.run()
    assert sorted(asked(sandbox)) == ["a", "b", "c", "d"]
    assert BatchRun(config, ["a", "b", "c", "d"]).counts.kept == 4


@pytest.mark.parametrize("kept", [True, False])
def test_an_interrupt_of_ask_many_has_the_result(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, kept: bool
) -> None:
    """A DataFrame like the one that would have been returned; the hint says if rows are kept."""
    sandbox.faults = Faults(stall_after=300, stall_times=9)
    pressing = interrupt_when(
        lambda: sandbox.log.wait(lambda seen: [one.bytes_sent for one in seen] == [300])
    )
    file = tmp_path / "rows.jsonl" if kept else None
    with pytest.raises(Interrupted) as caught:
        ask_many(["a", "b"], settings=settings, concurrency=1, checkpoint=file)
    pressing.join()
    assert list(caught.value.result.status) == ["interrupted", "not asked"]
    assert ("finished rows are kept" in caught.value.hint) is kept
    assert ("the next run asks all again." in caught.value.hint) is not kept


def test_an_interrupt_while_the_thread_starts_stops_the_batch(
    sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "aeron-magic":
            raise KeyboardInterrupt

    sandbox.set_faults(latency=0.2)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(Interrupted) as caught:
        ask_many(["a", "b", "c"], settings=settings, concurrency=1)
    assert len(caught.value.result) == 3
    assert len(asked(sandbox)) <= 1


def test_a_row_whose_token_is_invalid_is_not_asked_again(
    sandbox: Sandbox, settings: Settings
) -> None:
    """The service had accepted it."""
    kept = KeptRows(None)
    config = BatchConfig(settings, kept=kept)
    key = BatchRun(config, ["a"])._questions["a"].key
    kept.mark_sent(key, settings.conversation_scope)
    kept.mark_token(key, "apay_nothing")
    failed = BatchRun(config, ["a"])
    failed.run()
    assert failed.results[0] is not None
    assert isinstance(failed.results[0].error, TokenError)
    again = BatchRun(config, ["a"])
    assert again.counts.in_doubt == 1
    again.run()
    assert again.results[0] is not None
    assert isinstance(again.results[0].error, IncompleteReply)
    assert asked(sandbox) == []


def test_a_row_that_an_interrupted_run_has_sent_is_not_asked_again(
    sandbox: Sandbox, settings: Settings
) -> None:
    """In the same kernel, if its token was not known; the other rows are asked."""
    sandbox.faults = Faults(latency=5)
    config = BatchConfig(settings, concurrency=1, kept=KeptRows(None))
    pressing = interrupt_when(lambda: sandbox.log.wait(lambda seen: len(seen) == 1))
    with pytest.raises(Interrupted):
        BatchRun(config, ["a", "b"]).run()
    pressing.join()
    sandbox.set_faults(latency=0)
    again = BatchRun(config, ["a", "b"])
    again.run()
    assert [one.reply.status for one in again.results if one and one.reply] == [
        "incomplete",
        "complete",
    ]
    assert asked(sandbox) == ["a", "b"]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_an_interrupted_row_that_cannot_be_fetched_is_incomplete_at_once(
    sandbox: Sandbox,
    settings: Settings,
    chatzy: Settings,
    tmp_path: Path,
    kept: bool,
    service: str,
) -> None:
    """Its error is that of the next run, if that keeps rows; a text that came is in its reply."""
    used, file = settings, tmp_path / "rows.jsonl" if kept else None
    sandbox.faults = Faults(latency=5)
    if service == "chatzy":
        used = chatzy
        sandbox.faults = Faults(say="one " * 99, stall_after=400, stall_times=9)

    def is_under_way(seen: Sequence[LoggedRequest]) -> bool:
        return any(one.bytes_sent == 400 or service == "aeronpay" for one in seen)

    def is_read() -> bool:
        found = sandbox.log.wait(is_under_way)
        time.sleep(0.5)  # until the text is read here
        return found

    pressing = interrupt_when(is_read)
    with pytest.raises(Interrupted) as caught:
        ask_many(["a", "b"], settings=used, concurrency=1, checkpoint=file)
    pressing.join()
    first = caught.value.result
    assert list(first.status) == ["incomplete", "not asked"]
    assert "it may have been charged" in first.error[0]
    assert first.reply[0].startswith("one") is (service == "chatzy")
    assert ("is not asked again by itself" in first.error[0]) is kept
    sandbox.faults = Faults()
    sandbox.log.clear()
    second = ask_many(["a", "b"], settings=used, checkpoint=file)
    if kept:
        assert list(second.status) == ["incomplete", "complete"]
        assert second.error[0] == first.error[0]


@pytest.mark.parametrize(
    ("faults", "fetched"),
    [
        (Faults(refuse=(Refusal("create-response", 400),)), 0),
        (Faults(refuse=(Refusal("create-response", 500),)), 0),
        (Faults(say="one two three", stall_after=300, stall_times=9), 1),
        (Faults(latency=5), 0),
    ],
)
def test_an_answered_row_that_is_asked_again_in_vain_keeps_its_answer(
    sandbox: Sandbox, settings: Settings, faults: Faults, fetched: int
) -> None:
    """The next run has it, unless the new one can be fetched."""
    kept = KeptRows(None)
    config = BatchConfig(settings, concurrency=1, kept=kept)
    sandbox.faults = Faults(say="Before.")
    BatchRun(config, ["a", "b"]).run()
    sandbox.faults = faults
    sandbox.log.clear()
    again = BatchRun(config._replace(ask_again=True), ["a", "b"])
    if faults.refuse:
        again.run()
    else:
        under_way = 300 if faults.stall_after else 0
        pressing = interrupt_when(
            lambda: sandbox.log.wait(lambda seen: [one.bytes_sent for one in seen] == [under_way])
        )
        with pytest.raises(Interrupted):
            again.run()
        pressing.join()
    sandbox.faults = Faults(say="Before.")
    sandbox.log.clear()
    last = BatchRun(config, ["a", "b"])
    assert (last.counts.to_ask, last.counts.in_doubt, last.counts.to_fetch) == (0, 0, fetched)
    last.run()
    assert all(one is not None and one.is_complete for one in last.results)
    assert asked(sandbox) == []


def test_an_interrupt_waits_for_the_token_of_a_row_that_was_sent(
    sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run fetches its reply."""
    monkeypatch.setattr(io_loop, "TOKEN_GRACE", 20.0)
    sandbox.faults = Faults(latency=0.5, stall_after=300, stall_times=1)
    config = BatchConfig(settings, concurrency=1, kept=KeptRows(None))
    pressing = interrupt_when(lambda: sandbox.log.wait(lambda seen: len(seen) == 1))
    with pytest.raises(Interrupted):
        BatchRun(config, ["a", "b"]).run()
    pressing.join()
    again = BatchRun(config, ["a", "b"])
    assert (again.counts.to_fetch, again.counts.to_ask) == (1, 1)


@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_a_refused_row_that_waits_at_an_interrupt_is_asked_by_the_next_run(
    sandbox: Sandbox,
    settings: Settings,
    chatzy: Settings,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
) -> None:
    """It cannot have been charged, and no token of it is awaited."""
    monkeypatch.setattr(io_loop, "TOKEN_GRACE", 60.0)
    endpoint: Any = "create-response" if service == "aeronpay" else "get_inference"
    sandbox.set_faults(refuse=(Refusal(endpoint, 429, retry_after="30"),))
    waits, sleep = threading.Event(), asyncio.sleep

    async def pause(seconds: float) -> None:
        if seconds > 20:
            waits.set()
        await sleep(seconds)

    used = settings if service == "aeronpay" else chatzy
    config = BatchConfig(used, concurrency=1, kept=KeptRows(None))
    first = BatchRun(config, ["a", "b"])
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", pause)
        pressing = interrupt_when(lambda: waits.wait(20))
        with pytest.raises(Interrupted):
            first.run()
        pressing.join()
    assert first.results == [None, None]
    again = BatchRun(config, ["a", "b"])
    assert (again.counts.in_doubt, again.counts.to_ask) == (0, 2)
    again.run()
    assert all(one is not None and one.is_complete for one in again.results)
    assert len(sandbox.log.of(endpoint)) == 3


def test_an_accepted_row_of_chatzy_that_is_interrupted_in_a_pause_is_not_asked_again(
    sandbox: Sandbox, chatzy: Settings
) -> None:
    """While the state of its reply is polled."""
    sandbox.faults = Faults(cut_after=100, cut_times=9, generation_time=30)
    config = BatchConfig(chatzy, concurrency=1, kept=KeptRows(None))

    def is_polled(seen: Sequence[LoggedRequest]) -> bool:
        return sum(one.endpoint == "get_stream_status" for one in seen) > 1

    pressing = interrupt_when(lambda: sandbox.log.wait(is_polled))
    with pytest.raises(Interrupted):
        BatchRun(config, ["a"]).run()
    pressing.join()
    assert BatchRun(config, ["a"]).counts.in_doubt == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"client": "sandbox"},
        {"settings": 5},
        {"template": ["{{row}}"]},
        {"template": b"{{row}}"},
        {"checkpoint": 5},
        {"checkpoint": b"a.jsonl"},
    ],
)
def test_an_argument_of_a_wrong_type_is_a_short_error(
    settings: Settings, wrong: dict[str, Any]
) -> None:
    with pytest.raises(AeronError):
        ask_many(["a"], **{"settings": settings, **wrong})


def test_no_items_give_no_rows(settings: Settings) -> None:
    assert len(ask_many([], settings=settings)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"rate": 0},
        {"rate": -1},
    ],
)
def test_arguments_are_checked_before_anything_is_sent(
    settings: Settings, wrong: dict[str, float]
) -> None:
    with pytest.raises(UsageError, match=r"^Invalid"):
        ask_many(["a"], settings=settings, **wrong)  # type: ignore[arg-type]


def test_a_removed_argument_names_its_successor(settings: Settings) -> None:
    with pytest.raises(UsageError, match="no argument 'executor'") as caught:
        ask_many(["a"], settings=settings, executor=None)  # type: ignore[arg-type]
    assert "dask=" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("colums", "Did you mean `columns`? "), ("at_mots", "Did you mean `at_most`? "), ("x", "")],
)
def test_a_misspelt_argument_has_a_suggestion(
    settings: Settings, name: str, suggestion: str
) -> None:
    misspelt: dict[str, Any] = {name: "a: int"}
    with pytest.raises(UsageError, match=f"ask_many has no argument '{name}'") as caught:
        ask_many(["a"], "Well? {{row}}", settings=settings, **misspelt)
    assert caught.value.hint == f"{suggestion}`help(ask_many)` lists all."


def test_progress_is_shown_on_stderr_only_if_requested(
    settings: Settings, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default nothing is printed without a terminal."""
    ask_many(["a"], settings=settings)
    assert capsys.readouterr() == ("", "")
    ask_many(["a", "b"], settings=settings, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2/2" in captured.err
    ask_many([], "{{row}}", settings=settings, progress=True)
    assert capsys.readouterr() == ("", "")


def test_without_tqdm_only_a_requested_bar_is_an_error(
    settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a notebook a bar would be shown by default."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    find = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == "tqdm" else find(name, *rest)  # noqa: E731
    for module in (defaults, progress):
        monkeypatch.setattr(module, "find_spec", hidden)
    monkeypatch.setattr("aeron_magic.defaults.defaults.show_progress", lambda: True)
    with pytest.raises(UsageError, match="needs a package that is not installed"):
        ask_many(["a"], settings=settings, progress=True)
    assert not sandbox.log.of("create-response")
    assert list(ask_many(["a"], settings=settings).status) == ["complete"]


def test_chatzy_is_asked_the_same_way(sandbox: Sandbox) -> None:
    """Each row in its own conversation."""
    settings = Settings(
        "chatzy",
        sandbox.chatzy_url,
        sandbox.chatzy_stream_url,
        chatbot_id="725e1f05-6142-467e-bdec-47862d50da79",
    )
    result = ask_many(["What is a token?", "What is a turn?"], settings=settings)
    assert list(result.status) == ["complete"] * 2
    assert len({*result.context_token}) == 2
    before = len(sandbox.log)
    with pytest.raises(UsageError, match="cannot branch"):
        ask_many(["What is a turn?", "Why?"], settings=settings, after=result.context_token[0])
    assert len(sandbox.log) == before
