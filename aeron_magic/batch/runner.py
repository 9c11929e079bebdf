"""Runs one batch: a board and its lanes on a loop of their own, watched from the caller's thread.

The caller may be a notebook's cell, whose own loop already runs; so the batch has a thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from aeron_magic.batch.task_queue import Board, Outcome, Task
from aeron_magic.batch.worker import Lane, Manner, interrupted, run_lanes
from aeron_magic.batch.rate_limiter import Pace
from aeron_magic.client.aiohttp_transport import ManyWire
from aeron_magic.errors import AeronError, FailedReply, Interrupted, TokenError
from aeron_magic.recording.recorder import Recorder
from aeron_magic.replies.reply import Reply
from aeron_magic.services.settings import Settings

__all__ = ["Batch", "Key", "Known", "Memory", "Plan", "Spread"]

TICK = 0.1
"""Seconds between two looks at how far it is."""

CLOSING = 5.0
"""Seconds that an interrupted batch is given to close its connections."""


class Spread(Protocol):
    """Has the lanes run elsewhere; see :class:`aeron_magic.batch.cluster.coordinator.Cluster`."""

    async def run(self, board: Board, plan: Plan) -> None:
        """Return when the board is over."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to ask, how, how many at once, how fast, and who replays and records."""

    settings: Settings
    manner: Manner = field(default_factory=Manner)
    concurrency: int = 8
    rate: float | None = None
    recorder: Recorder | None = None
    executor: Executor | None = None
    workers: int | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier run of the same batch left of a row: its outcome, or a reply's token."""

    outcome: Outcome | None = None
    token: str | None = None


Key = tuple[str, int]
"""A row's text, and how many rows of that text came before it."""

Memory = MutableMapping[Key, Known]


class Batch:
    """The rows, and what has become of them so far.

    Parameters
    ----------
    plan
        See :class:`Plan`.
    texts
        The question of each row; or why there is none, which is then the row's error.
    memory
        What is known from an earlier run; what becomes known in this one is added.
    spread
        Has the lanes run elsewhere; None: here.

    Attributes
    ----------
    outcomes
        By row; None where nothing has become of it.
    finished
        How many rows have an outcome.
    """

    def __init__(
        self,
        plan: Plan,
        texts: Sequence[str | AeronError],
        memory: Memory | None = None,
        spread: Spread | None = None,
    ) -> None:
        self._plan = plan
        self._memory: Memory = {} if memory is None else memory
        self._spread = spread
        self.outcomes: list[Outcome | None] = [None] * len(texts)
        self.finished = 0
        self._keys: list[Key] = []
        self._twins: dict[int, list[int]] = {}
        """Rows that share the recorded answer of an earlier row with the same question."""
        self._texts = texts
        self._to_ask = self._sort_out()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def _sort_out(self) -> list[int]:
        """Settle what needs no asking; the numbers of the other rows."""
        seen: dict[str, list[int]] = {}
        to_ask = []
        for number, text in enumerate(self._texts):
            if isinstance(text, AeronError):
                self._keys.append(("", number))
                self._settle(number, Outcome(error=text))
                continue
            same = seen.setdefault(text, [])
            same.append(number)
            self._keys.append((text, len(same) - 1))
            known = self._memory.get(self._keys[number])
            if known is not None and known.outcome is not None:
                self._settle(number, known.outcome)
            elif self._plan.recorder is not None and len(same) > 1:
                self._twins.setdefault(same[0], []).append(number)
            else:
                to_ask.append(number)
        # The first of several may have been known already.
        for first in [one for one in self._twins if self.outcomes[one] is not None]:
            to_ask += self._twins.pop(first)
        return sorted(to_ask)

    def _settle(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        self.finished += 1

    def _tasks(self) -> Iterator[Task]:
        for number in self._to_ask:
            text = self._texts[number]
            assert isinstance(text, str)
            known = self._memory.get(self._keys[number])
            yield Task(number, text, known.token if known else None)

    def _begun(self, task: Task, token: str) -> None:
        self._memory[self._keys[task.number]] = Known(token=token)

    def _settled(self, board: Board, task: Task, outcome: Outcome) -> None:
        if isinstance(outcome.error, TokenError | FailedReply):
            board.tokens.pop(task.number, None)  # there is nothing to be had by it
            self._memory.pop(self._keys[task.number], None)
        if outcome.record is not None and self._plan.recorder is not None:
            question = self._plan.manner.question(task.text)
            self._plan.recorder.adopt(outcome.record, question)
        for number in (task.number, *self._twins.get(task.number, ())):
            self._settle(number, outcome)
            if outcome.whole:
                self._memory[self._keys[number]] = Known(outcome)

    def run(self, watch: Callable[[int], None] = lambda finished: None) -> None:
        """Run to the end; ``watch`` is told again and again how many rows are finished.

        Raises
        ------
        Interrupted
            The user stopped it; what is done is done.
        AeronError
            It could not begin.
        """
        ended = threading.Event()

        def work() -> None:
            try:
                asyncio.run(self._work())
            except asyncio.CancelledError:
                pass  # by the interrupt below, which says so itself
            except BaseException as failure:  # noqa: BLE001 - raised in the caller's thread
                self._failure = failure
            finally:
                ended.set()

        thread = threading.Thread(target=work, name="aeron-magic-batch", daemon=True)
        thread.start()
        try:
            while not ended.wait(TICK):
                watch(self.finished)
        except KeyboardInterrupt:
            if self._loop is not None and self._main is not None and not ended.is_set():
                self._loop.call_soon_threadsafe(self._main.cancel)
            ended.wait(CLOSING)
            whole = sum(one is not None and one.whole for one in self.outcomes)
            raise Interrupted(
                f"The batch was interrupted; {whole:,} of {len(self.outcomes):,} rows have "
                "their answer.",
                hint="What is done is kept. Run it again: it asks only for what is missing.",
            ) from None
        watch(self.finished)
        if self._failure is not None:
            failure = self._failure
            if isinstance(failure, BaseExceptionGroup):
                failure = failure.exceptions[0]
            raise failure

    async def _work(self) -> None:
        plan = self._plan
        self._main = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        board = Board(
            self._tasks(),
            len(self._to_ask),
            plan.concurrency,
            Pace(plan.rate),
            lambda task, outcome: self._settled(board, task, outcome),
            self._begun,
        )
        try:
            if self._spread is not None:
                await self._spread.run(board, plan)
            else:
                await run_here(board, plan, min(plan.concurrency, len(self._to_ask)))
        finally:
            for number, token in board.tokens.items():
                if self.outcomes[number] is None:
                    # A worker elsewhere had it when the user stopped the batch.
                    reply = Reply("", "interrupted", token, service=plan.settings.service)
                    self._settle(number, Outcome(reply, interrupted(reply)))


async def run_here(board: Board, plan: Plan, lanes: int) -> None:
    """Run the board in this process."""

    def make(wire: ManyWire) -> Lane:
        return Lane(board, wire, plan.settings, plan.manner, plan.recorder)

    await run_lanes(plan.settings, make, max(lanes, 1))
