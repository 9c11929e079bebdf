from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from aeron_magic.sandbox import Faults, Sandbox

CREDENTIALS = {"client-id": "me", "client-secret": "anything"}
CHATBOT = "12345678-1234-4234-8234-123456789abc"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Visitor:
    """An HTTP client for a sandbox."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self.http = http
        self._numbers = itertools.count()

    def pay(self, endpoint: str, headers: Any = CREDENTIALS, **body: Any) -> httpx.Response:
        body = {"client_referenceId": f"ref{next(self._numbers)}", **body}
        body = {name: value for name, value in body.items() if value is not ...}
        return self.http.post(f"{self.sandbox.aeronpay_url}/{endpoint}", headers=headers, json=body)

    def create(self, text: Any = "How do I ask?", **body: Any) -> httpx.Response:
        return self.pay("create-response", user={"text": text}, **body)

    def fetch(self, token: Any, **body: Any) -> httpx.Response:
        return self.pay("fetch-response", context_token=token, **body)

    def stream(self, text: str = "How do I ask?", **body: Any) -> list[dict[str, Any]]:
        """The events of a streamed reply, framed as plain server-sent events."""
        blocks = self.create(text, stream=True, **body).text.split("\n\n")
        return [json.loads(block.removeprefix("data: ")) for block in blocks if block]

    @contextmanager
    def opened(self, text: str = "a", **body: Any) -> Iterator[httpx.Response]:
        """A streamed reply that is read while it arrives."""
        url = f"{self.sandbox.aeronpay_url}/create-response"
        body = {"client_referenceId": f"ref{next(self._numbers)}", "user": {"text": text}, **body}
        with self.http.stream("POST", url, json={"stream": True, **body}, headers=CREDENTIALS) as r:
            yield r

    def chatzy(self, call: str, **query: Any) -> httpx.Response:
        return self.http.get(f"{self.sandbox.chatzy_url}/{call}", params=query)

    def begin(self) -> str:
        data = self.chatzy("init_conversation", chatbot_id=CHATBOT).json()["data"]
        return str(data["conversation_id"])

    def infer(self, conversation: str, text: str = "How do I ask?", **body: Any) -> httpx.Response:
        body = {
            "chatbot_id": CHATBOT,
            "conversation_id": conversation,
            "messages": {"role": "user", "content": text},
            "conversation_type": "website",
            **body,
        }
        return self.http.post(f"{self.sandbox.chatzy_url}/get_inference", json=body)

    def secret(self, conversation: str, text: str = "How do I ask?") -> str:
        return str(self.infer(conversation, text).json()["data"]["temp_token"])

    def listen(self, token: str) -> httpx.Response:
        url = f"{self.sandbox.chatzy_stream_url}/get-response"
        return self.http.get(url, params={"token": token})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(faults=Faults(say="One two three."), clock=clock) as running:
        yield running


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """One client for all tests: creating one takes longer than most tests."""
    with httpx.Client(timeout=5) as client:
        yield client


@pytest.fixture
def visitor(sandbox: Sandbox, http: httpx.Client) -> Visitor:
    return Visitor(sandbox, http)


@pytest.fixture
def visit(http: httpx.Client) -> Callable[[Sandbox], Visitor]:
    """Creates clients for other sandboxes."""
    return lambda sandbox: Visitor(sandbox, http)
