from __future__ import annotations

import json
import re

import pytest

from aeron_magic.sandbox.answers.answer import answer, topic_of
from aeron_magic.sandbox.answers.pages import handbook
from aeron_magic.sandbox.answers.search import index


def chat(*asked):
    """The answers to questions asked one after the other."""
    turns = []
    for question in asked:
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
    asked = ("How do I export?", "Show an example.", "why?")
    assert chat(*asked) == chat(*asked)


@pytest.mark.parametrize("name", handbook())
def test_every_page_can_be_asked_for(name):
    """Its title finds it."""
    assert handbook()[name].lead in answer(handbook()[name].title)


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


def test_tell_me_more_until_all_is_told():
    """Nothing is told twice; in the end a page close by is named."""
    first, more, most, end = chat("What is %aeron fetch?", *["tell me more"] * 3)
    paragraphs = [set(text.split("\n\n")[1:-1]) for text in (first, more, most)]
    assert paragraphs[1] - paragraphs[0]
    assert not (paragraphs[0] & paragraphs[1])
    assert "Close by" in most + end


def test_a_new_topic_is_no_follow_up():
    """And what comes after it is about the new one."""
    *_, text, example = chat("How do I export?", "What about images?", "example")
    assert handbook()["images"].lead in text
    assert "image" in example


def test_a_follow_up_to_a_follow_up_keeps_the_topic():
    """The topic is that of the newest question that had one."""
    turns = [(question, "…") for question in ("How do I export?", "why?", "tell me more")]
    assert topic_of(turns) == handbook()["exporting"]


def test_a_follow_up_to_nothing():
    """With no conversation before, its words are all there is to go by."""
    assert answer("and in Python?")
    assert topic_of([]) is None


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "Write a poem about the sea", "12 * 12", "???", "asdf"],
)
def test_what_the_handbook_does_not_know(question):
    """It says so and lists the topics, without repeating the question."""
    text = answer(question)
    assert "no language model" in text
    assert all(f"* {page.title}" in text for page in handbook().values())


@pytest.mark.parametrize("greeting", ["hi", "Hello!", "Good morning", "hey there"])
def test_greetings(greeting):
    """They are returned."""
    assert answer(greeting).startswith("Hello!")


def test_thanks():
    """They are accepted."""
    assert answer("Thanks a lot!").startswith("You are welcome")


@pytest.mark.parametrize("question", ["help", "What can you do?", "Which topics do you know?"])
def test_topics(question):
    """They are listed."""
    assert "* Live output" in answer(question)


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
    assert value["pages"][0]["title"] == "Conversations and context_token"
    scores = [page["score"] for page in value["pages"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("wish", ["only JSON", "Reply with JSON only", "just JSON"])
def test_bare_json(wish):
    """Nothing stands around it."""
    value = json.loads(answer(f"How do I export a conversation? {wish}."))
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
def test_which_page_answers_somebody_elses_question(task, question):
    """Its words are no wishes, and those of the task do not take part in the search."""
    value = json.loads(answer(task.format(question), [("How do I export?", "…")]))
    found = [one.page.name for one in index().search(question) if one.coverage > 0]
    assert value["question"] == question
    assert [page["page"] for page in value["pages"]] == found[:8]


def test_json_as_a_follow_up():
    """The topic's page comes first."""
    value = fenced_json(chat("How do I export?", "as JSON")[1])
    assert value["pages"][0] == {
        "page": "exporting",
        "title": "Exporting a conversation",
        "score": 1.0,
    }


def test_a_table():
    """Page, title and score in Markdown."""
    head, rule, *rows = answer("Which pages are about errors? Answer as a table.").splitlines()
    assert head == "| page | title | score |"
    assert re.fullmatch(r"[| :-]+", rule)
    assert rows[0].startswith("| errors | Errors | ")


@pytest.mark.parametrize(
    "question",
    [
        "How do I get a reply as JSON?",
        "Can I show the reply as a table?",
        "How do I display only the code?",
    ],
)
def test_a_question_about_formats_is_not_a_wish_for_one(question):
    """It is answered in prose."""
    assert answer(question).startswith("### Formats of the reply")


def test_code_only():
    """The example, and nothing else."""
    text = answer("How do I export a conversation? Only the code.")
    assert text == handbook()["exporting"].examples[0] + "\n"


def test_a_table_in_the_question_is_noticed():
    """Its size and columns are named; its content does not lead the search astray."""
    table = "| export | panel |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n"
    text = answer(f"How do I put this into a prompt with double braces?\n\n{table}")
    assert text.startswith("Your question carries a table of 2 rows with the columns")
    assert "### Values of the notebook" in text


@pytest.mark.parametrize(
    "data", ['{"image": ["panel", "export"]}', "```python\nexport(image)\n```"]
)
def test_data_in_the_question_does_not_lead_the_search_astray(data):
    """Only the words around it count."""
    assert "### Interrupting" in answer(f"How do I interrupt a reply?\n{data}\n")


def test_text_that_cannot_be_written_down():
    """A lone surrogate in a question does no harm."""
    assert answer("How do I export \ud800?")
