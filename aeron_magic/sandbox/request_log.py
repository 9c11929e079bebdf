"""The log of the requests that the sandbox received."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request and its outcome.

    Parameters
    ----------
    service
        ``aeronpay``, ``chatzy``, or ``""`` for any other address.
    endpoint
        ``create-response``, ``get-response``, … or the path if it is unknown.
    method
        The HTTP method.
    body, query
        The parsed JSON body (None without one) and the query's values.
    headers
        The request's headers in lower case, without secrets.
    status
        The HTTP status sent; None before that, and if nothing was sent.
    bytes_sent
        Bytes of the body sent so far.
    closed_by_client
        Whether the client disconnected before the end of the answer.
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


_MAX_RECORDS = 10_000


class RequestLog:
    """A thread-safe list of the newest 10,000 `LoggedRequest`, to read and to wait on.

    Records are immutable: an update replaces the record. Iteration is over a copy.
    """

    def __init__(self) -> None:
        self._records: dict[int, LoggedRequest] = {}
        self._next = 0
        self._changed = threading.Condition()

    def add(self, record: LoggedRequest) -> int:
        """Append a record, and return its number for `update`."""
        with self._changed:
            number, self._next = self._next, self._next + 1
            self._records[number] = record
            self._records.pop(number - _MAX_RECORDS, None)
            self._changed.notify_all()
        return number

    def update(self, number: int, **changes: Any) -> None:
        """Change fields of a record; without effect if the log was cleared since."""
        with self._changed:
            if number in self._records:
                self._records[number] = replace(self._records[number], **changes)
                self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._records.clear()

    def of(self, endpoint: str) -> list[LoggedRequest]:
        """The records of one endpoint, in order of arrival."""
        return [record for record in self if record.endpoint == endpoint]

    def wait(self, condition: Callable[[list[LoggedRequest]], bool], timeout: float = 5.0) -> bool:
        """Wait at most `timeout` seconds until `condition` holds, and return whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(list(self._records.values())), timeout)

    def as_json(self) -> list[dict[str, Any]]:
        """The records as plain values for JSON."""
        return [asdict(record) for record in self]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[LoggedRequest]:
        with self._changed:
            return iter(list(self._records.values()))

    def __getitem__(self, index: int) -> LoggedRequest:
        return list(self)[index]
