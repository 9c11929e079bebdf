"""What a batch announces and what it sends: twins, missing values, recordings, limits."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from aeron_magic import Client, UsageError, ask_many
from aeron_magic.batch.api import open_batch
from aeron_magic.batch.question import BatchConfig
from aeron_magic.client.client import validate_prompt
from aeron_magic.prompts.items import items_of, render_prompts
from aeron_magic.protocol.flow import Question
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.sandbox import Faults, Sandbox
from aeron_magic.services.settings import Settings

MISSING = [None, float("nan"), pd.NA, pd.NaT, "", "  ", "\u200b", np.float32("nan")]
TEMPLATE = "Say {{row}}"


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    """How to reach the sandbox, which answers at once."""
    sandbox.faults = Faults(say="x")
    return Settings("aeronpay", sandbox.aeronpay_url, client_id="me", client_secret="hush-4f1c")


def asked(sandbox: Sandbox) -> list[str]:
    return [seen.body["user"]["text"] for seen in sandbox.log.of("create-response")]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in (1, 2, 3))]
)
def test_announced_requests_are_counted_requests(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, seed: int
) -> None:
    """On 50 random tables for each seed, with twins, missing values and recordings."""
    chance = random.Random(seed)
    for table in range(50):
        words: list[Any] = [f"w{chance.randrange(6)}" for _ in range(chance.randrange(1, 10))]
        words += chance.choices(MISSING, k=chance.randrange(3))
        chance.shuffle(words)
        file = tmp_path / f"{table}.jsonl"
        known = [f"w{number}" for number in range(6) if chance.random() < 0.3]
        if known:
            ask_many(known, TEMPLATE, settings=settings, checkpoint=file)
        mode: Any = chance.choice(["auto", "record", "off", None])
        recorder = Recorder(Cassette(file), mode, speed=0) if mode else None
        texts = render_prompts(words, TEMPLATE, {}, (), partial(validate_prompt, settings))
        with open_batch(BatchConfig(settings, Question(""), recorder=recorder), texts) as batch:
            plan = batch.counts
        sandbox.log.clear()
        with Client(settings=settings) as client:
            client.recorder = recorder
            rows = ask_many(words, TEMPLATE, client=client, frame=False, at_most=plan.to_ask)
            assert len(asked(sandbox)) == plan.to_ask
            assert len(set(asked(sandbox))) == plan.to_ask
            assert plan.rows == len(words)
            assert plan.questions == plan.kept + plan.to_ask
            assert sum(row.asked for row in rows) >= plan.to_ask
            if plan.to_ask and mode != "auto":
                with pytest.raises(UsageError, match=f"{plan.to_ask} to ask"):
                    ask_many(words, TEMPLATE, client=client, at_most=plan.to_ask - 1)
        assert len(asked(sandbox)) == plan.to_ask


def test_missing_values_are_not_sent(sandbox: Sandbox, settings: Settings) -> None:
    """In a list and in a column; the rows fail, and the others are asked."""
    values = ["a", *MISSING]
    for source, template in (
        (values, "Say {{row}}"),
        (pd.DataFrame({"text": pd.Series(values, dtype=object)}), "Say {{row.text}}"),
        (pl.DataFrame({"text": ["a", None, "", " "]}), 'Say {{row["text"]}}'),
    ):
        sandbox.log.clear()
        result = ask_many(source, template, settings=settings)
        assert asked(sandbox) == ["Say a"]
        assert list(result["status"]) == ["complete", *["failed"] * (len(result) - 1)]
        assert all("missing" in error or "empty" in error for error in result["error"][1:])
    assert list(ask_many(["a", None, " "], settings=settings).status)[1:] == ["failed"] * 2


def test_a_whole_row_is_json_with_null(sandbox: Sandbox, settings: Settings) -> None:
    """Where all of its values are missing, it is not sent."""
    day = pd.Timestamp("2026-11-21")
    frame = pd.DataFrame(
        {"n": [1.5, np.nan, np.nan], "t": ["", "b", None], "d": [day, pd.NaT, pd.NaT]}
    )
    ask_many(frame, "{{row}}", settings=settings, concurrency=1)
    assert asked(sandbox) == [
        '{"n": 1.5, "t": "", "d": "2026-11-21"}',
        '{"n": null, "t": "b", "d": null}',
    ]


def test_rows_with_the_same_question_share_one_request(
    sandbox: Sandbox, settings: Settings
) -> None:
    """The kind of line end does not count, as in a recording."""
    rows = ask_many(["a\r\nc", "b", "a\nc", "a\rc"], settings=settings, frame=False)
    assert sorted(asked(sandbox)) == ["a\nc", "b"]
    assert rows[0].reply is rows[2].reply is rows[3].reply
    assert [row.asked for row in rows] == [True] * 4


def test_columns_are_requested_and_checked(sandbox: Sandbox, settings: Settings) -> None:
    """A reply that does not fit keeps its text; its row has no values."""
    sandbox.faults = Faults(say='{"mood": "Good", "n": "₹1,20,000"}')
    for library in (pd, pl):
        frame = library.DataFrame({"text": ["x"]})
        result = ask_many(
            frame, "{{row.text}}", settings=settings, columns="mood: good|bad, n: int"
        )
        assert (result["mood"][0], result["n"][0]) == ("good", 120_000)
        assert "Answer with one JSON object" in asked(sandbox)[0]
    sandbox.faults = Faults(say="good")
    result = ask_many(["x"], settings=settings, columns="mood: good|bad")
    assert (result.status[0], result.reply[0]) == ("unfit", "good")
    assert "no JSON object" in result.error[0]
    assert result.mood.isna().all()


def test_a_template_without_the_row_is_refused(sandbox: Sandbox, settings: Settings) -> None:
    """Such as one with single braces: the question would be the same for each item."""
    for template in ("Classify: {row}", "Classify: \\{{row}}", "Classify it."):
        with pytest.raises(UsageError, match="does not mention"):
            ask_many(["a", "b"], template, settings=settings)
    with pytest.raises(UsageError, match="does not mention"):
        ask_many(["a"], "Classify it.", settings=settings)
    assert asked(sandbox) == []


def test_invalid_limits_are_refused(settings: Settings) -> None:
    for wrong in (-1, 1.5, "3"):
        with pytest.raises(UsageError, match="Invalid at_most"):
            ask_many(["x"], settings=settings, at_most=wrong)  # type: ignore[arg-type]


def test_items_with_a_column_of_the_result_are_refused(
    sandbox: Sandbox, settings: Settings
) -> None:
    """Before anything is sent; rows as objects have no columns."""
    frame = pd.DataFrame({"status": ["x"]})
    with pytest.raises(UsageError, match='"status"'):
        ask_many(frame, "{{row.status}}", settings=settings)
    assert asked(sandbox) == []
    (row,) = ask_many(frame, "{{row.status}}", settings=settings, frame=False)
    assert row.reply.text == "x"
    assert items_of(frame).values[0].status == "x"
