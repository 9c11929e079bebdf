"""Replies that are read on the background loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from aeron_magic.client.client import AsyncClient
from aeron_magic.client.io_loop import IOLoop, ReplyTask
from aeron_magic.sandbox import Sandbox


class FailingTask(ReplyTask):
    """Has an error in its own code."""

    def on_chunk(self) -> None:
        raise ValueError("an internal error")


def test_an_interrupt_after_work_has_begun_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a cell is interrupted just after its question was sent."""
    began, ended, start = threading.Event(), threading.Event(), asyncio.run_coroutine_threadsafe

    async def work() -> None:
        began.set()
        await asyncio.sleep(0.1)
        ended.set()

    def interrupt(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        start(coroutine, loop)
        assert began.wait(5)
        raise KeyboardInterrupt

    loop = IOLoop()
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "run_coroutine_threadsafe", interrupt)
        with pytest.raises(KeyboardInterrupt):
            loop.submit(work())
    assert ended.wait(5)
    loop.stop()


def test_an_internal_error_closes_the_connection(sandbox: Sandbox) -> None:
    """Before the reply counts as ended: the service sees it while the loop runs."""
    sandbox.set_faults(say="one two three", stall_after=900)
    loop = IOLoop()
    client = AsyncClient(
        "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret="mine"
    )
    stream = client.stream("Count")
    task = FailingTask(loop, stream)
    assert task.done.wait(5)
    assert str(task.error) == "Internal error: ValueError."
    assert stream.flow_io._response is None
    loop.run(client.close())
    loop.stop()
