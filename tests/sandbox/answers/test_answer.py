from __future__ import annotations

import json
import re

import pytest

from aeron_magic.sandbox.answers.answer import answer, topic_of
from aeron_magic.sandbox.answers.pages import handbook
from aeron_magic.sandbox.answers.search import index


def chat(*questions):
    """The answers to questions asked one after the other."""
    turns = []
    for question in questions:
        turns.append((question, answer(question, turns)))
    return [text for _, text in turns]


def fenced_json(text):
    found = re.fullmatch(r"```json\n(.+)\n```\n", text, re.DOTALL)
    assert found, text
    return json.loads(found[1])


def test_an_answer_has_lead_example_and_related_pages():
    """The best page's lead comes first, the last line names pages to read next."""
    text = answer("How do I continue a conversation?")
    page = handbook()["conversations"]
    assert text.startswith(f"### {page.title}\n\n{page.lead}\n")
    assert page.examples[0] in text
    assert text.splitlines()[-1].startswith("*Related: ")


def test_the_same_question_gets_the_same_answer():
    """Also after the same conversation."""
    questions = ("How do I export?", "Show an example.", "why?")
    assert chat(*questions) == chat(*questions)


def test_every_page_can_be_asked_for():
    """Its title finds it."""
    for page in handbook().values():
        assert page.lead in answer(page.title), page.name


@pytest.mark.parametrize(
    "follow_up", ["show an example", "An example, please.", "Can you give me an example?"]
)
def test_an_example_for_the_topic_so_far(follow_up):
    """One that was not shown before."""
    first, second = chat("How do I continue a conversation?", follow_up)
    (example,) = re.findall(r"```.+?```", second, re.DOTALL)
    assert example in handbook()["conversations"].examples
    assert example not in first


@pytest.mark.parametrize("follow_up", ["and in Python?", "How does that look in Python?", "Python"])
def test_the_topic_so_far_in_python(follow_up):
    """The page's own section."""
    _, second = chat("How do I continue a conversation?", follow_up)
    assert "chat = Conversation(client)" in second


@pytest.mark.parametrize("follow_up", ["why?", "Why is that?"])
def test_why(follow_up):
    """The page's reason."""
    _, second = chat("What happens when a stream is cut?", follow_up)
    assert handbook()["cut-streams"].sections["Why"][0] in second


@pytest.mark.parametrize(
    "follow_up",
    [
        "Say it in one sentence.",
        "Give me the one-sentence version.",
        "Explain it in a single sentence, please.",
        "In two short sentences?",
        "Shorter, please.",
        "Can you make it shorter?",
        "Summarise that.",
        "Please summarize the answer briefly.",
        "tl;dr",
    ],
)
def test_a_short_answer_is_the_first_sentence_of_the_page(follow_up):
    """Of the conversation's, or of the one that the question asks for."""
    first, short, after = chat("How do I branch a conversation?", follow_up, "show an example")
    assert (
        short == "`--after` continues from any earlier turn, and `--as` gives a turn a name to "
        "return to.\n"
    )
    assert first.split("\n\n")[1].replace("\n", " ").startswith(short.strip())
    assert "branches and names" in after
    (other,) = chat(f"How do I export a conversation? {follow_up}")
    assert other == "`%aeron export FILE` writes the conversation to a file.\n"


@pytest.mark.parametrize(
    "question", ["How do I get a shorter context?", "summarise the text in my variable"]
)
def test_a_question_that_names_something_short_is_answered_in_full(question):
    assert answer(question).startswith("### ")


def test_tell_me_more_until_nothing_is_left():
    """Nothing is repeated; in the end a related page is named."""
    first, more, end = chat("What is %aeron fetch?", *["tell me more"] * 2)
    paragraphs = [set(text.split("\n\n")[1:-1]) for text in (first, more)]
    assert paragraphs[1] - paragraphs[0]
    assert not (paragraphs[0] & paragraphs[1])
    assert "There is nothing more" in end


def test_a_question_with_a_topic_is_no_follow_up():
    """And what comes after it is about the new topic."""
    *_, text, example = chat("How do I export?", "What about images?", "example")
    assert handbook()["images"].lead in text
    assert "image" in example


def test_a_follow_up_to_a_follow_up_keeps_the_topic():
    """The topic is that of the newest question that had one."""
    turns = [(question, "…") for question in ("How do I export?", "why?", "tell me more")]
    assert topic_of(turns) == handbook()["exporting"]


def test_a_follow_up_without_a_conversation():
    """It is searched for like any other question."""
    assert answer("and in Python?")
    assert topic_of([]) is None


def test_what_the_handbook_does_not_cover():
    """The topics are listed."""
    for question in ("What is the capital of France?", "Write a poem about the sea", "12 * 12"):
        text = answer(question)
        assert "not a language model" in text, question
        assert all(f"* {page.title}" in text for page in handbook().values())


def test_greetings_thanks_and_topics():
    """They need no page."""
    for question, start in {
        "hi": "Hello!",
        "Good morning": "Hello!",
        "hey there": "Hello!",
        "Thanks a lot!": "You are welcome",
        "help": "I answer from the handbook",
        "What can you do?": "I answer from the handbook",
        "Which topics do you know?": "I answer from the handbook",
    }.items():
        assert answer(question).startswith(start), question


@pytest.mark.parametrize(
    "question",
    [
        "How do I continue a conversation? Answer as JSON.",
        "How do I continue a conversation, as JSON?",
        "Answer in JSON: how do I continue a conversation?",
        "Show the pages on how to continue a conversation as JSON",
    ],
)
def test_json(question):
    """The question and the pages, best first, with scores from 0 to 1."""
    value = fenced_json(answer(question))
    assert value["question"] == question
    assert value["pages"][0]["page"] == "conversations"
    assert value["pages"][0]["title"] == handbook()["conversations"].title
    scores = [page["score"] for page in value["pages"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("request_", ["only JSON", "Reply with JSON only", "just JSON"])
def test_bare_json(request_):
    """Without a fence."""
    value = json.loads(answer(f"How do I export a conversation? {request_}."))
    assert value["pages"][0]["page"] == "exporting"


@pytest.mark.parametrize(
    "question",
    [
        "my first question, how",
        "show the answer as a table",
        "only show me the code block",
        "classify each row of my dataframe",
        "shorthand for --out",
        "why does run all stop after a failed question",
    ],
)
@pytest.mark.parametrize(
    "task",
    [
        "Which page of the handbook answers this question? Answer in JSON only: {}",
        "Name the pages for the following question, JSON only.\n\n{}",
        'Which page answers this question, "{}"? Just JSON.',
    ],
)
def test_which_page_answers_a_given_question(task, question):
    """Only the given question is searched for, and it requests no form."""
    value = json.loads(answer(task.format(question), [("How do I export?", "…")]))
    found = [hit.page.name for hit in index().search(question)]
    assert value["question"] == question
    assert [page["page"] for page in value["pages"]] == found[:8]


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("look up recordings", "recordings"),
        ("Please look up values", "values"),
        ("Could you please look up how to export a conversation for me?", "exporting"),
        ("Now look up: images", "images"),
        ("Please search the handbook for recordings", "recordings"),
        ("Look up order 4711", None),
        ("can you look up the opening hours?", None),
        ("Please look it up for me", None),
        ("Look up", None),
        ("look up what it said before", "history"),
        ("search all conversations for a word", "history"),
    ],
)
def test_the_page_of_what_is_to_be_looked_up(question, page):
    """The request itself is no topic."""
    text = answer(question)
    if page is None:
        assert text.startswith("The handbook does not cover this")
    else:
        assert text.startswith(f"### {handbook()[page].title}\n")


@pytest.mark.parametrize("verb", ["see", "show", "view", "list"])
def test_the_history_in_other_words(verb):
    for words in (f"How do I {verb} the history?", f"Where can I {verb} my history?"):
        assert answer(words).startswith("### History\n"), words


def test_json_as_a_follow_up():
    """The topic's page comes first."""
    value = fenced_json(chat("How do I export?", "as JSON")[1])
    title = handbook()["exporting"].title
    assert value["pages"][0] == {"page": "exporting", "title": title, "score": 1.0}


def test_a_table():
    """Page, title and score in Markdown."""
    head, rule, *rows = answer("Which pages are about errors? Answer as a table.").splitlines()
    assert head == "| page | title | score |"
    assert re.fullmatch(r"[| :-]+", rule)
    assert rows[0].startswith("| errors | Errors | ")


def test_a_question_about_formats_requests_none():
    """It is answered in prose."""
    for question in (
        "How do I get a reply as JSON?",
        "Can I show the reply as a table?",
        "How do I display only the code?",
    ):
        assert answer(question).startswith(f"### {handbook()['formats'].title}"), question


def test_data_in_the_question_is_not_searched_for():
    """Only the words around a table, JSON or code count."""
    for data in (
        "| export | panel |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |",
        '{"image": ["panel", "export"]}',
        "```python\nexport(image)\n```",
    ):
        text = answer(f"How do I interrupt a reply?\n{data}\n")
        assert text.startswith(f"### {handbook()['interrupting'].title}"), data


def test_a_lone_surrogate_is_no_problem():
    """It cannot be encoded as UTF-8."""
    assert answer("How do I export \ud800?")


@pytest.mark.parametrize(
    "question",
    [
        "Repeat.",
        "Please repeat your answer",
        "Say that again, please!",
        "Can you repeat that once more?",
    ],
)
def test_the_last_answer_is_repeated(question: str) -> None:
    """As after a reply that was cut; without one there is nothing to repeat."""
    turns = [("How do I record?", "So."), ("What is a token?", "This.\n")]
    assert answer(question, turns) == "This.\n"
    assert answer(question) != "This.\n"
    assert answer("What is repeated when I run a cell again?", turns) != "This.\n"
