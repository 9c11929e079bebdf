"""Connections below httpx."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from credentials import SECRET

from aeron_magic import AsyncClient, Client
from aeron_magic.client.tls import KEEP_ALIVE
from aeron_magic.sandbox import Sandbox


def test_a_connection_that_expires_while_it_is_given_to_a_question_is_kept(
    sandbox: Sandbox,
) -> None:
    """The loop is busy for longer than an idle connection is kept; no question is in doubt."""
    sandbox.set_faults(say="Fine.")

    async def keep_busy() -> None:
        while True:
            time.sleep(2 * KEEP_ALIVE)
            await asyncio.sleep(0)

    async def talk(client: AsyncClient) -> None:
        for number in range(20):
            await client.ask(f"Question {number}")

    async def main() -> None:
        async with AsyncClient(
            base_url=sandbox.aeronpay_url, client_id="me", client_secret=SECRET
        ) as client:
            busy = asyncio.create_task(keep_busy())
            await asyncio.gather(*(talk(client) for _ in range(5)))
            busy.cancel()

    asyncio.run(main())
    assert len(sandbox.log.of("create-response")) == 100


def test_threads_on_one_client_lose_no_question(sandbox: Sandbox) -> None:
    sandbox.set_faults(say="Fine.")
    with (
        Client(base_url=sandbox.aeronpay_url, client_id="me", client_secret=SECRET) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        done = list(pool.map(client.ask, (f"Question {number}" for number in range(200))))
    assert {reply.status for reply in done} == {"complete"}
