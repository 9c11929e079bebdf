"""The modes of a recorder, with a fake service and without a network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from records import make_record

from aeron_magic.errors import AeronError, FailedReply, RecordingError, UsageError
from aeron_magic.protocol.events import Chunk, Completed, Recovering, Started
from aeron_magic.protocol.flow import Flow, Question, Sleep
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.flows import MAX_PAUSE, MAX_PAUSES
from aeron_magic.recording.record import placeholder_token
from aeron_magic.recording.recorder import MAX_COMPARED, Mode, Recorder
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply


class Service:
    """Replies to each question with its number, and accepts only its own tokens."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.failing = False

    def ask(self, question: Question) -> Flow[None]:
        self.asked.append(question)
        token = f"apay_{len(self.asked)}"
        known = [f"apay_{number}" for number in range(1, len(self.asked))]
        assert question.context_token in [None, *known], "a token that the service never gave"
        yield [Started(token, question.context_token)]
        yield [Chunk(f"answer {len(self.asked)}", 2)]
        if self.failing:
            raise FailedReply("It failed.")
        yield [Completed(None, token, question.context_token)]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.jsonl"


def drive(flow: Flow[None]) -> Reply:
    """Run a flow without a network."""
    accumulator = ReplyAccumulator("aeronpay")
    for step in flow:
        if isinstance(step, list):
            accumulator.add(step)
        else:
            assert isinstance(step, Sleep)
    return accumulator.reply()


def asker(service: Service, path: Path, mode: Mode = "auto", **options: Any) -> Any:
    """``ask(text, token)`` with a new recorder, as in a new kernel."""
    recorder = Recorder(Cassette(path), mode, **options)

    def ask(text: str, token: str | None = None, images: tuple[str, ...] = ()) -> Reply:
        question = Question(text, images, token)
        return drive(recorder.ask(question, "aeronpay", service.ask))

    ask.recorder = recorder  # type: ignore[attr-defined]
    return ask


def test_auto_sends_once_and_then_replays(service: Service, path: Path) -> None:
    first = asker(service, path)("a")
    again = asker(service, path)("a")
    assert (first.text, first.replayed) == ("answer 1", False)
    assert (again.text, again.replayed) == ("answer 1", True)
    assert len(service.asked) == 1


def test_the_same_question_after_another_parent_is_another_turn(
    service: Service, path: Path
) -> None:
    ask = asker(service, path)
    first = ask("a")
    second = ask("a", first.context_token)
    assert (second.text, len(service.asked)) == ("answer 2", 2)
    ask = asker(service, path, "replay")
    first = ask("a")
    assert ask("a", first.context_token).text == "answer 2"


def test_a_new_question_after_replayed_ones_sends_those_again_first(
    service: Service, path: Path
) -> None:
    ask = asker(service, path)
    ask("b", ask("a").context_token)
    ask = asker(service, path)  # a new kernel: the tokens at the service are not known any more
    second = ask("b", ask("a").context_token)
    third = ask("c", second.context_token)
    assert second.replayed
    assert not third.replayed
    assert [question.text for question in service.asked] == ["a", "b", "a", "b", "c"]
    fourth = ask("d", third.context_token)
    assert not fourth.replayed
    assert [question.text for question in service.asked][5:] == ["d"]
    ask = asker(service, path, "replay")
    token = None
    for text in "abcd":
        reply = ask(text, token)
        token = reply.context_token
    assert reply.text == "answer 6"


def test_replay_sends_nothing_and_shows_the_nearest_question(service: Service, path: Path) -> None:
    asker(service, path)("How many turns are there?")
    with pytest.raises(RecordingError) as caught:
        asker(service, path, "replay")("How many turns were there?")
    assert "- How many turns are there?" in caught.value.message
    assert "+ How many turns were there?" in caught.value.message
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("recorded", "asked", "before", "after"),
    [
        ("How many are there?", "How many were there?", "How many are there?", None),
        (f"{'-' * 200}old?", f"{'-' * 200}good?", f"…{'-' * 20}old?", f"…{'-' * 20}good?"),
        ("a\nb", "a\nc\nd\ne", "b", "c + d + e"),
        ("x" * 150, f"y{'x' * 150}", f"{'x' * 80} […]", f"y{'x' * 79} […]"),
    ],
)  # fmt: skip
def test_a_table_shows_the_nearest_question_without_marks(
    service: Service, path: Path, recorded: str, asked: str, before: str, after: str | None
) -> None:
    """Only the part of a long question from the difference on."""
    asker(service, path)(recorded)
    with pytest.raises(RecordingError) as caught:
        asker(service, path, "replay")(asked)
    shown = f"- {before} + {after or asked}"
    assert caught.value.line().endswith(f" question (-) and this one (+): {shown}")


@pytest.mark.parametrize(
    ("recorded", "asked", "message"),
    [("", "x", "It is empty."), ("abc", "xyz", "It has no similar question.")],
)
def test_an_unrecorded_question_without_a_similar_one(
    service: Service, path: Path, recorded: str, asked: str, message: str
) -> None:
    if recorded:
        asker(service, path)(recorded)
    with pytest.raises(RecordingError, match=message):
        asker(service, path, "replay")(asked)


def test_the_nearest_is_found_among_many(service: Service, path: Path) -> None:
    """Only the questions that share most words are compared in detail."""
    ask = asker(service, path)
    for number in range(2 * MAX_COMPARED):
        ask(f"How many turns of {number} are there?")
    ask("What is a turn?")
    with pytest.raises(RecordingError) as caught:
        asker(service, path, "replay")("What is the turn?")
    assert "- What is a turn?" in caught.value.message


def test_a_question_recorded_after_another_parent_is_reported(service: Service, path: Path) -> None:
    ask = asker(service, path)
    ask("b", ask("a").context_token)
    with pytest.raises(RecordingError, match="recorded after other questions"):
        asker(service, path, "replay")("b")


def test_a_question_recorded_with_other_images_is_reported(service: Service, path: Path) -> None:
    ask = asker(service, path)
    ask("b", ask("a").context_token)
    with pytest.raises(RecordingError, match="but recorded with other images"):
        asker(service, path, "replay")("a", images=("https://a.example/1.png",))


def test_record_always_sends(service: Service, path: Path) -> None:
    asker(service, path, "record")("a")
    assert asker(service, path, "record")("a").text == "answer 2"
    assert asker(service, path, "replay")("a").text == "answer 2"


def test_off_records_nothing(service: Service, path: Path) -> None:
    asker(service, path, "off")("a")
    assert not path.exists()


@pytest.mark.parametrize("mode", ["auto", "record", "replay", "off"])
def test_a_reply_that_came_otherwise_is_recorded_with_its_time(path: Path, mode: Mode) -> None:
    """As one of a cluster or of the history; a replay has its seconds."""
    recorder = Recorder(Cassette(path), mode)
    recorder.record(Question("a"), "aeronpay", Reply("x", "complete", "apay_1", seconds=2.5))
    assert len(Cassette(path)) == (mode in ("auto", "record"))
    if mode == "auto":
        reply = drive(recorder.ask(Question("a"), "aeronpay", Service().ask))
        assert (reply.text, reply.seconds, reply.replayed) == ("x", 2.5, True)


def test_a_failed_turn_is_sent_again_in_auto_and_fails_again_in_replay(
    service: Service, path: Path
) -> None:
    service.failing = True
    with pytest.raises(FailedReply):
        asker(service, path)("a")
    with pytest.raises(FailedReply, match="It failed"):
        asker(service, path, "replay")("a")
    assert len(service.asked) == 1
    service.failing = False
    assert asker(service, path)("a").text == "answer 2"
    assert asker(service, path, "replay")("a").text == "answer 2"


def test_a_question_after_a_failed_one_replays_where_all_turns_share_a_token(path: Path) -> None:
    """The failed turn is not in the branch of the next question."""

    def answer(question: Question) -> Flow[None]:
        yield [Started("chat", question.context_token), Chunk("text", 2)]
        if question.text == "b":
            raise FailedReply("It failed.")
        yield [Completed(None, "chat", question.context_token)]

    for mode in ("record", "replay"):
        recorder = Recorder(Cassette(path), mode)
        first = drive(recorder.ask(Question("a"), "chatzy", answer))
        with pytest.raises(FailedReply):
            drive(recorder.ask(Question("b", (), first.context_token), "chatzy", answer))
        third = drive(recorder.ask(Question("c", (), first.context_token), "chatzy", answer))
        assert third.text == "text"


def test_turns_from_before_the_recording_are_registered_by_their_questions(
    service: Service, path: Path
) -> None:
    first = drive(service.ask(Question("a")))
    ask = asker(service, path)
    ask.recorder.register_path(first.context_token, "aeronpay", [("a", ())])
    ask("b", first.context_token)
    whole = asker(service, path)
    assert whole("b", whole("a").context_token).replayed


def test_a_question_after_an_unknown_token_replays_after_any_other_unknown_token(
    service: Service, path: Path
) -> None:
    service.asked = [Question("earlier")] * 5
    first = asker(service, path)("b", "apay_3")
    again = asker(service, path, "replay")("b", "apay_other")
    assert again.text == first.text


def test_a_recording_from_the_middle_of_a_conversation_cannot_be_continued_live(
    service: Service, path: Path
) -> None:
    service.asked = [Question("earlier")] * 5
    asker(service, path)("b", "apay_3")
    ask = asker(service, path)
    replayed = ask("b", "apay_3")
    with pytest.raises(RecordingError, match="has no beginning"):
        ask("c", replayed.context_token)


def test_a_replayed_reply_is_fetched_from_its_record(service: Service, path: Path) -> None:
    asker(service, path)("a")
    ask = asker(service, path, "replay")
    token = ask("a").context_token
    fetched = drive(ask.recorder.fetch(token, lambda _: service.ask(Question("no"))))
    assert fetched.text == "answer 1"
    with pytest.raises(RecordingError):
        drive(ask.recorder.fetch("apay_1", lambda _: service.ask(Question("no"))))
    assert len(service.asked) == 1


def test_the_remedy_of_a_replay_names_the_recording(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command takes it: in quotes with a blank, and by its name in the working folder."""
    monkeypatch.chdir(tmp_path)
    interrupted = make_record("aeronpay", "cut", [5, "yes"], status="interrupted")
    for folder in (tmp_path, tmp_path / "other"):
        for name in ("talk.jsonl", "my talk.jsonl"):
            path = folder / name
            Cassette(path).save(interrupted)
            file = name if folder == tmp_path else str(path)
            shown = f'"{file}"' if " " in file else file
            for question in ("cut", "new"):
                with pytest.raises(AeronError) as caught:
                    asker(service, path, "replay")(question)
                assert caught.value.hint.startswith(f"`%aeron record {shown}` (in Python ")


def test_an_unknown_mode_is_rejected(path: Path) -> None:
    with pytest.raises(UsageError, match="Unknown mode"):
        Recorder(Cassette(path), "rewind")  # type: ignore[arg-type]


def chain(path: Path, service: Service, length: int) -> str:
    """Record a conversation; return the token of its newest reply as replayed in a new kernel."""
    ask, token = asker(service, path), None
    for number in range(length):
        token = ask(f"q {number}", token).context_token
    ask, token = asker(service, path, "replay"), None
    for number in range(length):
        token = ask(f"q {number}", token).context_token
    service.asked.clear()
    assert token is not None
    return token


@pytest.mark.parametrize("length", [5, 6, 40, 1_000])
def test_only_a_few_questions_are_sent_again(service: Service, path: Path, length: int) -> None:
    """More of them are an error before anything is sent; it says how many, and what allows it."""
    token = chain(path, service, length)
    if length == 5:
        assert asker(service, path)("new", token).text == "answer 6"
        return
    with pytest.raises(RecordingError, match=f"^{length:,} earlier questions") as caught:
        asker(service, path)("new", token)
    assert f"AeronMagics.max_resent = {length}" in caught.value.hint
    assert service.asked == []
    if length == 6:
        asker(service, path, max_resent=6)("new", token)
        assert len(service.asked) == 7


@pytest.mark.parametrize(("length", "said"), [(1, "1 earlier question was"), (2, "2 earlier")])
def test_the_number_of_questions_is_said_before_they_are_sent_again(
    service: Service, path: Path, length: int, said: str
) -> None:
    token = chain(path, service, length)
    recorder = Recorder(Cassette(path))
    (event,) = next(recorder.ask(Question("new", (), token), "aeronpay", service.ask))
    assert isinstance(event, Recovering)
    assert event.reason.startswith(said)
    assert service.asked == []


def test_questions_at_the_same_time_send_those_before_them_again_once(
    service: Service, path: Path
) -> None:
    """As from a cell and the panel; also where one of them is abandoned."""
    ask = asker(service, path)
    ask("b", ask("a").context_token)
    later = asker(service, path)
    after = later("b", later("a").context_token).context_token
    now = Service()

    def slow(question: Question) -> Flow[None]:
        yield Sleep(0)
        yield from now.ask(question)

    flows = [
        later.recorder.ask(Question(text, (), after), "aeronpay", slow) for text in ("x", "c", "d")
    ]
    for flow in flows:
        next(flow)
    for flow in flows:
        next(flow)
    flows.pop(0).close()
    while flows:
        for flow in tuple(flows):
            if next(flow, flow) is flow:
                flows.remove(flow)
    texts = [question.text for question in now.asked]
    assert texts[:2] == ["a", "b"]
    assert sorted(texts[2:]) == ["c", "d"]


def test_foreign_questions_are_not_sent_before_a_new_one(service: Service, path: Path) -> None:
    """Lines whose keys do not fit, and turns of another service."""
    token = chain(path, service, 2)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"q 0"', '"evil"'), encoding="utf-8")
    with pytest.raises(RecordingError, match="does not contain the turn"):
        asker(service, path)("new", token)
    other = make_record("chatzy", "evil")
    path.write_text(other.to_json_line() + "\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="does not contain the turn"):
        asker(service, path)("new", placeholder_token(other.key))
    assert service.asked == []


def test_a_reply_that_cannot_be_recorded_is_not_lost(
    service: Service, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question has been paid: a warning says so, once."""
    ask = asker(service, path)

    def full(*_: object) -> None:
        raise RecordingError("The recording cannot be written.", hint="Make room.")

    monkeypatch.setattr(Cassette, "save", full)
    reply = ask("a")
    assert (reply.text, reply.status) == ("answer 1", "complete")
    warning = ask.recorder.warning()
    assert "cannot be written" in warning
    assert "Make room" in warning
    assert ask.recorder.warning() == ""


def test_hostile_pauses_are_limited(path: Path) -> None:
    """One, and all together; an error of another kind is not raised as such."""
    events = [[10**12, "a"] for _ in range(1_000)]
    error = {"type": "Interrupted", "message": "no"}
    record = make_record("aeronpay", "a", *events, status="failed", error=error)
    Cassette(path).save(record)
    waited: list[float] = []
    flow = Recorder(Cassette(path), "replay").ask(Question("a"), "aeronpay", lambda _: iter(()))  # type: ignore[arg-type,return-value]
    with pytest.raises(AeronError, match="no") as caught:
        waited.extend(step.seconds for step in flow if isinstance(step, Sleep))
    assert type(caught.value) is AeronError
    assert max(waited) == MAX_PAUSE
    assert sum(waited) == pytest.approx(MAX_PAUSES)


def test_a_hostile_recording_does_not_slow_down_the_comparison(path: Path) -> None:
    """The nearest question is looked for among the beginnings of all."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(100):
            text = "\n".join(f"line {number} {n} " + "ab " * 20 for n in range(3_000))
            record = make_record("aeronpay", text)
            file.write(record.to_json_line() + "\n")
    question = Question("\n".join(f"line {n} " + "ab " * 21 for n in range(3_000)))
    began = time.process_time()
    with pytest.raises(RecordingError, match="nearest recorded"):
        drive(Recorder(Cassette(path), "replay").ask(question, "aeronpay", lambda _: iter(())))  # type: ignore[arg-type,return-value]
    assert time.process_time() - began < 5
