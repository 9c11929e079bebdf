from __future__ import annotations

import threading

from aeron_magic.sandbox import LoggedRequest
from aeron_magic.sandbox.request_log import RequestLog


def test_records_are_replaced_not_changed():
    """Who holds a record keeps what was true then."""
    log = RequestLog()
    number = log.add(LoggedRequest("aeronpay", "fetch-response", "POST"))
    before = log[0]
    log.update(number, status=200)
    assert before.status is None
    assert log[0].status == 200


def test_waiting_for_a_record():
    """A wait ends when the condition holds, and tells when it did not."""
    log = RequestLog()
    timer = threading.Timer(0.02, log.add, [LoggedRequest("chatzy", "get-response", "GET")])
    timer.start()
    assert log.wait(lambda seen: len(seen) == 1)
    assert not log.wait(lambda seen: len(seen) == 2, timeout=0.01)
    timer.join()


def test_updating_what_was_cleared():
    """A request that outlives the log's clearing leaves no trace."""
    log = RequestLog()
    number = log.add(LoggedRequest("", "/x", "GET"))
    log.clear()
    log.update(number, status=404)
    assert len(log) == 0


def test_records_of_an_endpoint():
    """`of` picks them in their order."""
    log = RequestLog()
    for endpoint, method in (("a", "GET"), ("b", "GET"), ("a", "POST")):
        log.add(LoggedRequest("chatzy", endpoint, method))
    assert [seen.method for seen in log.of("a")] == ["GET", "POST"]
