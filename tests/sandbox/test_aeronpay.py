from __future__ import annotations

import re

import pytest

from aeron_magic.sandbox import Faults, Sandbox

TOKEN = re.compile(r"apay_[0-9a-f]{48}")
MESSAGE = re.compile(r"msg_[0-9a-f]{48}")


def test_plain_reply_has_the_shape_of_the_vendors_sample(visitor):
    """Names, order and types of the fields follow the page Create Response."""
    answer = visitor.create()
    value = answer.json()
    assert answer.status_code == 200
    assert list(value) == [
        "status",
        "status_code",
        "message",
        "response_status",
        "context_token",
        "parent_context_token",
        "system",
    ]
    assert value["status"] == "SUCCESS"
    assert value["status_code"] == "200"
    assert value["message"] == "Response generation successful."
    assert value["response_status"] == "completed"
    assert value["parent_context_token"] is None
    assert value["system"]["text"] == "One two three."


def test_tokens_look_like_the_vendors(visitor):
    """Token and message id end in the same 16 digits, those of the conversation."""
    value = visitor.create().json()
    assert TOKEN.fullmatch(value["context_token"])
    assert MESSAGE.fullmatch(value["system"]["msg_id"])
    assert value["context_token"][-16:] == value["system"]["msg_id"][-16:]


def test_streamed_reply_has_the_shape_of_the_vendors_sample(visitor):
    """Initiated, outputs from number 2, completed with the full text."""
    initiated, *outputs, completed = visitor.stream()
    token, message = completed["context_token"], completed["system"]["msg_id"]
    assert initiated == {
        "status": "PENDING",
        "status_code": "102",
        "message": "Response generation initiated.",
        "event": "response_initiated",
        "response_status": "initiated",
        "context_token": token,
        "parent_context_token": None,
        "system": [],
    }
    assert outputs == [
        {
            "status": "PROCESSING",
            "status_code": "206",
            "event": "response_output",
            "sequence_no": number,
            "system": {"msg_id": message, "text_chunk": chunk},
        }
        for number, chunk in enumerate(["One", " two", " three."], start=2)
    ]
    assert completed["status_code"] == "200"
    assert completed["event"] == "response_completed"
    assert completed["response_status"] == "completed"
    assert completed["system"] == {"msg_id": message, "text": "One two three."}


def test_content_types(visitor):
    """A stream is text/event-stream, a plain reply is JSON."""
    assert visitor.create(stream=True).headers["content-type"] == "text/event-stream"
    assert visitor.create(stream=False).headers["content-type"] == "application/json"


def test_each_reply_has_its_own_token_and_names_its_parent(visitor):
    """With the rule `new` the token changes except for its last 16 digits."""
    first = visitor.create().json()["context_token"]
    second = visitor.create(context_token=first).json()
    assert second["context_token"] != first
    assert second["parent_context_token"] == first
    assert second["context_token"][-16:] == first[-16:]


def test_an_old_token_starts_a_branch(visitor):
    """Two questions after one token follow the first turn, not each other."""
    root = visitor.create("one").json()["context_token"]
    visitor.create("two", context_token=root)
    other = visitor.create("three", context_token=root).json()["context_token"]
    data = visitor.pay("list-input", context_token=other).json()["data"]
    assert [entry["user"]["text"] for entry in data if "user" in entry] == ["one", "three"]


def test_one_token_for_the_conversation(visit):
    """With the rule `same` the first token is returned again, without a parent."""
    with Sandbox(token_rule="same", faults=Faults(say="Yes.")) as sandbox:
        visitor = visit(sandbox)
        first = visitor.create("one").json()["context_token"]
        second = visitor.create("two", context_token=first).json()
        data = visitor.pay("list-input", context_token=first).json()["data"]
    assert second["context_token"] == first
    assert second["parent_context_token"] is None
    assert [entry["user"]["text"] for entry in data if "user" in entry] == ["one", "two"]
    assert len({entry["msg_id"] for entry in data}) == 3


def test_the_same_requests_have_the_same_tokens(visit):
    """Tokens depend on questions and their places only."""
    runs = []
    for _ in range(2):
        with Sandbox() as sandbox:
            visitor = visit(sandbox)
            first = visitor.create("one").json()["context_token"]
            again = visitor.create("one").json()["context_token"]
            after = visitor.create("two", context_token=first).json()["context_token"]
            runs.append((first, again, after))
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 3


def test_tokens_do_not_depend_on_the_order_of_other_questions(visit):
    """The order in which concurrent questions arrive has no influence."""
    runs = []
    for order in (["one", "two"], ["two", "one"]):
        with Sandbox() as sandbox:
            visitor = visit(sandbox)
            runs.append({text: visitor.create(text).json()["context_token"] for text in order})
    assert runs[0] == runs[1]


def test_fetch_returns_the_stored_reply(visitor):
    """The same as create-response, with another message."""
    created = visitor.create().json()
    fetched = visitor.fetch(created["context_token"]).json()
    assert fetched == {**created, "message": "Response fetched successfully."}


def test_fetch_returns_processing_until_the_reply_is_generated(visitor, sandbox, clock):
    """Generation takes the set time although the stream has ended."""
    sandbox.set_faults(generation_time=5.0, completed=False)
    token = visitor.stream()[0]["context_token"]
    processing = visitor.fetch(token).json()
    assert processing["response_status"] == "processing"
    assert processing["system"] == []
    clock.now += 5
    completed = visitor.fetch(token).json()
    assert completed["response_status"] == "completed"
    assert completed["system"]["text"] == "One two three."


def test_fetch_returns_processing_so_many_times(visitor, sandbox):
    """`processing_fetches` applies to each reply."""
    sandbox.set_faults(processing_fetches=2)
    token = visitor.create().json()["context_token"]
    states = [visitor.fetch(token).json()["response_status"] for _ in range(3)]
    assert states == ["processing", "processing", "completed"]


def test_failed_generation(visitor, sandbox):
    """The stream ends half-way without its last event, and fetch returns failed."""
    sandbox.set_faults(generation="fails")
    events = visitor.stream()
    assert [event["event"] for event in events] == ["response_initiated", "response_output"]
    fetched = visitor.fetch(events[0]["context_token"]).json()
    assert fetched["response_status"] == "failed"
    assert fetched["system"] == []


def test_failed_generation_with_an_event(visitor, sandbox):
    """The vendor's page does not list this event."""
    sandbox.set_faults(generation="fails-with-event")
    assert visitor.stream()[-1]["event"] == "response_failed"


def test_list_input_omits_the_answer_of_the_token(visitor):
    """As in the vendor's sample, the list ends with the question."""
    first = visitor.create("one").json()
    second = visitor.create("two", context_token=first["context_token"]).json()
    answer = visitor.pay("list-input", context_token=second["context_token"], data_order="asc")
    value = answer.json()
    assert value["status"] == "SUCCESS"
    assert value["message"] == "Input items fetched successfully."
    one, reply, two = value["data"]
    assert one == {
        "msg_id": one["msg_id"],
        "request_status": "completed",
        "user": {"text": "one"},
    }
    assert reply == {
        "msg_id": first["system"]["msg_id"],
        "response_status": "completed",
        "system": {"text": "One two three."},
    }
    assert two["user"] == {"text": "two"}


def test_list_input_in_both_orders(visitor):
    """desc is the reverse of asc."""
    first = visitor.create("one").json()["context_token"]
    token = visitor.create("two", context_token=first).json()["context_token"]
    lists = [
        visitor.pay("list-input", context_token=token, data_order=order).json()["data"]
        for order in ("asc", "desc")
    ]
    assert lists[0] == lists[1][::-1]
    assert lists[0] != lists[1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"client_referenceId": ...}, "client_referenceId is required"),
        ({"client_referenceId": 7}, "must be a string"),
        ({"client_referenceId": "r" * 31}, "30 characters"),
        ({"user": ...}, "user is required"),
        ({"user": {"text": ""}}, "user.text"),
        ({"user": {"text": ["a"]}}, "user.text"),
        ({"user": {"text": "a", "images": None}}, "user.images"),
        ({"user": {"text": "a", "images": "http://x/a.png"}}, "user.images"),
        ({"user": {"text": "a", "images": ["file:///a.png"]}}, "http"),
        ({"stream": "yes"}, "stream"),
        ({"stream": None}, "stream"),
        ({"context_token": None}, "context_token"),
        ({"context_token": "apay_unknown"}, "Invalid context token"),
    ],
)
def test_invalid_bodies_of_create_response(visitor, body, words):
    """A 400 with FAILED and a message about the invalid field."""
    answer = visitor.pay("create-response", **{"user": {"text": "a"}, **body})
    assert answer.status_code == 400
    assert answer.json()["status"] == "FAILED"
    assert answer.json()["status_code"] == "400"
    assert words in answer.json()["message"]


@pytest.mark.parametrize("endpoint", ["fetch-response", "list-input"])
@pytest.mark.parametrize(
    ("token", "words"),
    [(..., "is required"), (None, "must be a string"), ("apay_no", "Invalid")],
)
def test_invalid_tokens(visitor, endpoint, token, words):
    """A missing, empty or unknown token is a 400."""
    answer = visitor.pay(endpoint, context_token=token)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


@pytest.mark.parametrize("order", ["up", None, 1])
def test_data_order_is_asc_or_desc(visitor, order):
    """Other values are a 400."""
    token = visitor.create().json()["context_token"]
    answer = visitor.pay("list-input", context_token=token, data_order=order)
    assert answer.status_code == 400
    assert "data_order" in answer.json()["message"]


def test_reference_ids_are_valid_once(visitor):
    """A repeated client_referenceId is refused by every endpoint."""
    token = visitor.create(client_referenceId="mine").json()["context_token"]
    answer = visitor.fetch(token, client_referenceId="mine")
    assert answer.status_code == 400
    assert "unique" in answer.json()["message"]


def test_a_reference_id_of_thirty_characters(visitor):
    """The maximum length is accepted."""
    assert visitor.create(client_referenceId="r" * 30).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"client-id": "me"},
        {"client-secret": "s"},
        {"client-id": "", "client-secret": "s"},
        {"client-id": "me", "client-secret": "wrong"},
    ],
)
def test_invalid_credentials(visitor, headers):
    """Missing, empty or wrong credentials: 403 and BAD_REQUEST_ERROR."""
    answer = visitor.pay("create-response", headers=headers, user={"text": "a"})
    assert answer.status_code == 403
    assert answer.json()["status"] == "BAD_REQUEST_ERROR"


def test_credentials_can_be_optional(visit):
    """For curl."""
    with Sandbox(require_credentials=False) as sandbox:
        assert visit(sandbox).pay("create-response", {}, user={"text": "a"}).status_code == 200


def test_tokens_expire_by_the_clock(visitor, clock):
    """A token is valid for a day."""
    token = visitor.create().json()["context_token"]
    clock.now += 86_399
    assert visitor.fetch(token).status_code == 200
    clock.now += 1
    answer = visitor.fetch(token)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Expired context token."


def test_a_token_can_be_expired_by_a_fault(visitor, sandbox):
    """`expired` lists tokens."""
    token = visitor.create().json()["context_token"]
    sandbox.set_faults(expired=[token])
    assert visitor.create(context_token=token).json()["message"] == "Expired context token."


def test_get_is_refused(visitor, sandbox):
    """The endpoints are POST only."""
    assert visitor.http.get(f"{sandbox.aeronpay_url}/fetch-response").status_code == 405


def test_a_follow_up_is_about_its_branch(visit):
    """An example requested after a topic is an example for that topic."""
    with Sandbox() as sandbox:
        visitor = visit(sandbox)
        for topic, word in (("How do I export a conversation?", "export"), ("images?", "image")):
            token = visitor.create(topic).json()["context_token"]
            text = visitor.create("Show an example.", context_token=token).json()["system"]["text"]
            assert word in text
