from __future__ import annotations

import json
import uuid

import pytest

CHATBOT = "12345678-1234-4234-8234-123456789abc"


def events(answer):
    """The events of a stream: (id or None, data)."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if fields:
            found.append((fields.get("id"), fields["data"]))
    return found


def status(visitor, conversation):
    data = visitor.chatzy("get_stream_status", conversation_id=conversation).json()["data"]
    return data["stream_status"], data["response_processing_status"]


def test_a_conversation_starts_with_an_introduction(visitor):
    """init_conversation returns an id and a message with buttons."""
    data = visitor.chatzy("init_conversation", chatbot_id=CHATBOT).json()["data"]
    assert data["valid"] is True
    assert str(uuid.UUID(data["conversation_id"])) == data["conversation_id"]
    introduction = data["introductory_message"]
    assert introduction["switch"] is True
    assert len(introduction["buttons"]) == 3
    assert introduction["content"]


def test_conversations_have_different_ids(visitor):
    """Each init_conversation starts a new one."""
    assert visitor.begin() != visitor.begin()


def test_a_question_returns_a_token_for_its_stream(visitor):
    """get_inference returns a temporary token and the user's message."""
    data = visitor.infer(visitor.begin()).json()["data"]
    assert data["msg"]
    assert data["temp_token"].startswith("eyJ")
    assert uuid.UUID(data["user_message"]["user_message_id"])
    assert data["user_message"]["created_at"].startswith("2027-01-15T")
    assert "content" in data["introductory_message"]


def test_stream_has_the_shape_of_the_vendors_sample(visitor):
    """Chunks of one id, the signal with time and id, then [DONE]."""
    answer = visitor.listen(visitor.secret(visitor.begin()))
    *chunks, (closing_id, closing), (_, done) = events(answer)
    assert answer.headers["content-type"] == "text/event-stream"
    assert [json.loads(data) for _, data in chunks] == [
        {"content": "One"},
        {"content": " two"},
        {"content": " three."},
    ]
    assert len({name for name, _ in chunks}) == 1
    assert uuid.UUID(chunks[0][0])
    assert closing_id is None
    assert list(json.loads(closing)) == ["signal", "new_message_time", "new_message_id"]
    assert json.loads(closing)["signal"] == "close_connection"
    assert done == "[DONE]"


def test_streaming_off(visitor, sandbox):
    """The whole reply is one payload."""
    sandbox.set_faults(streaming=False)
    chunk, *_ = events(visitor.listen(visitor.secret(visitor.begin())))
    assert json.loads(chunk[1]) == {"content": "One two three."}


@pytest.mark.parametrize(("ids", "named"), [("each", 3), ("first", 1), ("none", 0)])
def test_id_lines(visitor, sandbox, ids, named):
    """On each chunk, on the first only, or on none."""
    sandbox.set_faults(ids=ids)
    found = events(visitor.listen(visitor.secret(visitor.begin())))
    assert sum(name is not None for name, _ in found) == named


@pytest.mark.parametrize(
    "signal",
    [
        "no_message_found",
        "close_connection_incomplete_content",
        "close_connection_incomplete_tool_calls",
        "close_connection_incomplete_request",
        "__ERROR__: it broke",
        "[FROZEN]",
        "[BLACKLISTED]",
    ],
)
@pytest.mark.parametrize("spelling", ["json", "bare"])
def test_every_signal_in_both_spellings(visitor, sandbox, signal, spelling):
    """The signal comes last, instead of close_connection."""
    sandbox.set_faults(signal=signal, spelling=spelling)
    *_, (_, data) = events(visitor.listen(visitor.secret(visitor.begin())))
    assert data == (signal if spelling == "bare" else json.dumps({"signal": signal}))


@pytest.mark.parametrize(("when", "chunks"), [("start", 0), ("middle", 1), ("end", 3)])
def test_place_of_a_signal(visitor, sandbox, when, chunks):
    """Before, within or after the reply."""
    sandbox.set_faults(signal="[FROZEN]", signal_when=when)
    assert len(events(visitor.listen(visitor.secret(visitor.begin())))) == chunks + 1


def test_bare_close_connection(visitor, sandbox):
    """The bare spelling is one word, without time and id."""
    sandbox.set_faults(spelling="bare")
    found = events(visitor.listen(visitor.secret(visitor.begin())))
    assert [data for _, data in found[-2:]] == ["close_connection", "[DONE]"]


@pytest.mark.parametrize("word", ["Search the handbook for images", "Look up how to export"])
def test_a_question_that_searches_runs_a_tool(visitor, word):
    """A first message, call_again, then the reply with another id."""
    found = events(visitor.listen(visitor.secret(visitor.begin(), word)))
    datas = [json.loads(data) for _, data in found[:-1]]
    call = datas.index({"signal": "call_again"})
    before, after = {i for i, _ in found[:call]}, {i for i, _ in found[call + 1 : -2]}
    assert len(before) == len(after) == 1
    assert before != after
    assert "".join(one["content"] for one in datas[call + 1 : -1]) == "One two three."


def test_tokens_are_valid_once(visitor):
    """The second use is 401."""
    token = visitor.secret(visitor.begin())
    assert visitor.listen(token).status_code == 200
    assert visitor.listen(token).status_code == 401


def test_tokens_are_valid_for_a_minute(visitor, clock):
    """After sixty seconds a token is 401."""
    first, second = (visitor.secret(visitor.begin()) for _ in range(2))
    clock.now += 59
    assert visitor.listen(first).status_code == 200
    clock.now += 1
    assert visitor.listen(second).status_code == 401


@pytest.mark.parametrize("query", [{}, {"token": "eyJno"}])
def test_missing_and_unknown_tokens(visitor, sandbox, query):
    """Both are 401."""
    url = f"{sandbox.chatzy_stream_url}/get-response"
    assert visitor.http.get(url, params=query).status_code == 401


def test_status_of_a_reply_that_has_not_started(visitor):
    """is_streaming and null; a stream with a new secret returns the whole reply."""
    conversation = visitor.begin()
    visitor.infer(conversation)
    assert status(visitor, conversation) == ("is_streaming", None)
    data = visitor.chatzy("generate_secret", conversation_id=conversation).json()["data"]
    assert len(events(visitor.listen(data["temp_token"]))) == 5


def test_status_of_a_current_reply(visitor, sandbox, clock):
    """After the stream is lost, the service continues until the reply is generated."""
    sandbox.set_faults(cut_after=150, cut_how="end", generation_time=3.0)
    conversation = visitor.begin()
    visitor.listen(visitor.secret(conversation))
    assert status(visitor, conversation) == ("is_streaming", "processing")
    clock.now += 3
    assert status(visitor, conversation) == ("completed", "completed")


def test_status_of_a_finished_reply(visitor):
    """Both fields are completed."""
    conversation = visitor.begin()
    visitor.listen(visitor.secret(conversation))
    assert status(visitor, conversation) == ("completed", "completed")


def test_status_fields_at_the_top(visitor, sandbox):
    """The place of the fields is not documented, so both are available."""
    sandbox.set_faults(status_where="top")
    value = visitor.chatzy("get_stream_status", conversation_id=visitor.begin()).json()
    assert value["stream_status"] == "completed"
    assert "data" not in value


@pytest.mark.parametrize(
    ("reopen", "datas"),
    [
        ("nothing", ['{"signal": "no_message_found"}']),
        ("repeat", ['{"content": "One"}', '{"content": " two"}', '{"content": " three."}']),
        ("continue", ['{"content": " two"}', '{"content": " three."}']),
    ],
)
def test_a_stream_opened_again(visitor, sandbox, reopen, datas):
    """After a loss in the second chunk it returns nothing, everything, or the rest."""
    conversation = visitor.begin()
    sandbox.set_faults(cut_after=100, cut_how="end", reopen=reopen)
    visitor.listen(visitor.secret(conversation))
    token = visitor.chatzy("generate_secret", conversation_id=conversation).json()["data"]
    again = events(visitor.listen(token["temp_token"]))
    assert [data for _, data in again[: len(datas)]] == datas


@pytest.mark.parametrize("call", ["generate_secret", "get_stream_status"])
@pytest.mark.parametrize(
    ("query", "code"),
    [({}, 400), ({"conversation_id": "x"}, 400), ({"conversation_id": CHATBOT}, 404)],
)
def test_invalid_conversation_ids(visitor, call, query, code):
    """A missing or malformed id is 400, an unknown one 404."""
    answer = visitor.chatzy(call, **query)
    assert answer.status_code == code
    assert answer.json()["success"] is False


@pytest.mark.parametrize("chatbot", ["", "me", "1234"])
def test_chatbot_id_is_a_uuid(visitor, chatbot):
    """Other values are 400."""
    assert visitor.chatzy("init_conversation", chatbot_id=chatbot).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"chatbot_id": "no"},
        {"conversation_id": None},
        {"messages": [{"role": "user", "content": "a"}]},
        {"messages": {"role": "assistant", "content": "a"}},
        {"messages": {"role": "user", "content": " "}},
        {"conversation_type": "phone"},
    ],
)
def test_invalid_bodies_of_get_inference(visitor, body):
    """400, without starting a reply."""
    conversation = visitor.begin()
    assert visitor.infer(conversation, **body).status_code == 400
    assert status(visitor, conversation) == ("completed", None)


def test_another_chatbots_conversation(visitor):
    """A 404, like an unknown conversation."""
    answer = visitor.infer(visitor.begin(), chatbot_id="00000000-0000-4000-8000-000000000000")
    assert answer.status_code == 404
