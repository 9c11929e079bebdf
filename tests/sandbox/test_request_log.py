from __future__ import annotations

import threading

from aeron_magic.sandbox import LoggedRequest
from aeron_magic.sandbox.request_log import RequestLog


def test_records_are_replaced_not_changed():
    """A record read before stays as it was."""
    log = RequestLog()
    number = log.add(LoggedRequest("aeronpay", "fetch-response", "POST"))
    before = log[0]
    log.update(number, status=200)
    assert before.status is None
    assert log[0].status == 200


def test_waiting_for_a_record():
    """It ends when the condition holds, or after the timeout."""
    log = RequestLog()
    timer = threading.Timer(0.02, log.add, [LoggedRequest("chatzy", "get-response", "GET")])
    timer.start()
    assert log.wait(lambda seen: len(seen) == 1)
    assert not log.wait(lambda seen: len(seen) == 2, timeout=0.01)
    timer.join()


def test_updating_a_deleted_record():
    """It is not added again."""
    log = RequestLog()
    number = log.add(LoggedRequest("", "/x", "GET"))
    log.clear()
    log.update(number, status=404)
    assert len(log) == 0


def test_records_of_an_endpoint():
    """`of` returns them in order."""
    log = RequestLog()
    for endpoint, method in (("a", "GET"), ("b", "GET"), ("a", "POST")):
        log.add(LoggedRequest("chatzy", endpoint, method))
    assert [seen.method for seen in log.of("a")] == ["GET", "POST"]


def test_only_the_newest_requests_are_kept(monkeypatch):
    """A sandbox that runs for days does not fill the memory."""
    monkeypatch.setattr("aeron_magic.sandbox.request_log._MAX_RECORDS", 10)
    log = RequestLog()
    for number in range(25):
        log.add(LoggedRequest(service="", endpoint=str(number), method="GET"))
    assert [record.endpoint for record in log] == [str(number) for number in range(15, 25)]
