"""What the sandbox saw: one record a request, for tests that count and for people who look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["LoggedRequest", "RequestLog"]


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request as the sandbox saw it, and what became of it.

    Parameters
    ----------
    service
        ``aeronpay``, ``chatzy`` or ``""`` for an address of neither.
    endpoint
        ``create-response``, ``get-response``, … or the path where it is unknown.
    method
        The HTTP method.
    body, query
        The parsed JSON body (None without one) and the query's values.
    headers
        The request's headers in lower case, without the secret.
    status
        The HTTP status answered; None before that, and when nothing was sent.
    bytes_sent
        Bytes of the body sent so far.
    closed_by_client
        Whether the client left before the answer's end.
    done
        Whether the sandbox has finished with the request.
    """

    service: str
    endpoint: str
    method: str
    body: Any = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    status: int | None = None
    bytes_sent: int = 0
    closed_by_client: bool = False
    done: bool = False


class RequestLog:
    """A list of `LoggedRequest` that many threads write and tests read and wait on.

    Iterating and indexing work on what is there at that moment; records are frozen, a request
    under way has its record replaced as it goes on.
    """

    def __init__(self) -> None:
        self._seen: dict[int, LoggedRequest] = {}
        self._next = 0
        self._changed = threading.Condition()

    def add(self, seen: LoggedRequest) -> int:
        """Append a record; the number it is updated by."""
        with self._changed:
            number, self._next = self._next, self._next + 1
            self._seen[number] = seen
            self._changed.notify_all()
        return number

    def update(self, number: int, **changes: Any) -> None:
        """Change fields of a record; nothing happens when it was cleared away meanwhile."""
        with self._changed:
            if number in self._seen:
                self._seen[number] = replace(self._seen[number], **changes)
                self._changed.notify_all()

    def clear(self) -> None:
        """Forget all records."""
        with self._changed:
            self._seen.clear()

    def of(self, endpoint: str) -> list[LoggedRequest]:
        """The records of one endpoint, in order of arrival."""
        return [seen for seen in self if seen.endpoint == endpoint]

    def wait(self, condition: Callable[[list[LoggedRequest]], bool], timeout: float = 5.0) -> bool:
        """Wait until `condition` holds for the records, at most `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(list(self._seen.values())), timeout)

    def as_json(self) -> list[dict[str, Any]]:
        """The records as plain values for JSON."""
        return [asdict(seen) for seen in self]

    def __len__(self) -> int:
        with self._changed:
            return len(self._seen)

    def __iter__(self) -> Iterator[LoggedRequest]:
        with self._changed:
            return iter(list(self._seen.values()))

    def __getitem__(self, index: int) -> LoggedRequest:
        with self._changed:
            return list(self._seen.values())[index]
