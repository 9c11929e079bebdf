from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import get_args

import pytest

from aeron_magic.sandbox import Faults, Refusal, Sandbox
from aeron_magic.sandbox.answers.pages import handbook
from aeron_magic.sandbox.faults import Endpoint, FaultError


def test_faults_survive_json():
    """They are equal after a round trip."""
    faults = Faults(
        say="x", chunks=("a", "b"), cut_after=3, expired=("t",), refuse=(Refusal("*", 429),)
    )
    assert Faults.from_json(json.loads(json.dumps(faults.as_json()))) == faults


def test_unnamed_fields_come_from_the_base():
    """A change leaves the others as they are."""
    assert Faults.from_json({"pause": 1}, Faults(say="x")) == Faults(say="x", pause=1)


@pytest.mark.parametrize(
    "values",
    [
        {"framing": "xml"},
        {"pause": -1},
        {"pause": "slow"},
        {"bom": 1},
        {"chunk_size": 1.5},
        {"cut_after": True},
        {"chunks": [1]},
        {"chunks": "ab"},
        {"refuse": [{"page": "pdf"}]},
        {"refuse": ["429"]},
        {"nonsense": 1},
    ],
)
def test_invalid_values(values):
    """The error names the field."""
    with pytest.raises(ValueError, match=rf"{next(iter(values))}|page"):
        Faults.from_json(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"cut_afer": 1},
            "unknown fault 'cut_afer' (did you mean cut_after?); known are: latency, first_chunk,",
        ),
        (
            {"refuse": [{"state": 500}]},
            "unknown field of a refusal 'state' (did you mean status?); known are: endpoint,",
        ),
        ({"cut_how": "x"}, "cut_how must be one of reset, close, end, not 'x'"),
        ({"refuse": [{"endpoint": "create"}]}, "endpoint must be one of *, create-response, "),
        ({"refuse": [500]}, "refuse must be a list of Refusal, not (500,)"),
        (
            {"refuse": Refusal("*", message="no " * 30)},
            "refuse must be a list of Refusal, not Refusal",
        ),
        ({"signal": ""}, "signal must be a text such as [FROZEN], or None, not ''"),
        ({"pause": "slow"}, "pause must be float, 0 or more, not 'slow'"),
        ({"cut_after": "x"}, "cut_after must be int | None, 0 or more, not 'x'"),
    ],
)
def test_an_error_says_what_is_known(values, said):
    """In a notebook without a traceback."""
    with pytest.raises(FaultError, match=f"^{re.escape(said)}") as caught:
        Faults.from_json(values)
    assert caught.value._render_traceback_()[0] == f"FaultError: {caught.value}"


def test_the_handbook_names_every_fault():
    page = "\n".join(handbook()["sandbox"].body)
    documented = set(re.findall(r"`(\w+)`", page))
    assert {field.name for field in fields(Faults)} <= documented


def test_each_use_counts_down():
    """A cut is used by a reply, not by a fetch; a refusal by its endpoint."""
    faults = Faults(cut_after=5, refuse=(Refusal("list-input", times=1),))
    now, later, refusal = faults.for_request("fetch-response")
    assert (now.cut_after, later, refusal) == (None, faults, None)
    now, later, refusal = faults.for_request("create-response")
    assert (now.cut_after, later.cut_times, refusal) == (5, 0, None)
    assert later.for_request("create-response")[0].cut_after is None
    assert Faults.from_json({"cut_after": 9}, later).cut_times == 1
    assert Faults.from_json({"pause": 1.0}, later).cut_times == 0
    _, later, refusal = faults.for_request("list-input")
    assert refusal == faults.refuse[0]
    assert later.for_request("list-input")[2] is None


def test_faults_that_are_assigned_are_checked(sandbox):
    """As those of ``set_faults``; a list is taken, too."""
    for wrong in ([Refusal("create", 401)], (Refusal(status="401"),)):
        with pytest.raises(ValueError, match="must be"):
            sandbox.faults = Faults(refuse=wrong)
        with pytest.raises(ValueError, match="must be"):
            Sandbox(faults=Faults(refuse=wrong))
    sandbox.faults = Faults(cut_after=5, cut_times=3, refuse=[Refusal("create-response", 401)])
    assert sandbox.faults.cut_times == 3
    assert sandbox.faults.refuse == (Refusal("create-response", 401),)


def test_a_refusal_can_name_every_endpoint(sandbox):
    routes = {endpoint for _, endpoint in sandbox._routes}
    assert {*get_args(Endpoint)} - {"*"} == routes
