from __future__ import annotations

import json

import pytest

from aeron_magic.sandbox.answers.answer import answer
from aeron_magic.sandbox.answers.sentiment import labelled, sentiment


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I love this phone, it works great", "positive"),
        ("Terrible. It broke after a day.", "negative"),
        ("It is a phone.", "neutral"),
        ("not good", "negative"),
        ("Not bad at all!", "positive"),
        ("good screen, bad battery", "neutral"),
        ("I don\u2019t like it", "negative"),
        ("", "neutral"),
    ],
)
def test_words_are_weighed(text, label):
    """Good against bad, turned round by a negation before them."""
    assert sentiment(text) == label


@pytest.mark.parametrize(
    "question",
    [
        "Classify the sentiment: I love it",
        "Classify the sentiment of this review:\nI love it",
        'What is the sentiment of "I love it"?',
        "Is this review positive, negative or neutral?\nI love it",
        "Sentiment: I love it",
    ],
)
def test_a_wish_for_the_sentiment(question):
    """The text is found, and one word answers."""
    assert "love" in (labelled(question) or "")
    assert answer(question) == "positive"


@pytest.mark.parametrize(
    "question",
    [
        "How do I classify the sentiment of each row: with --each?",
        "How can I classify reviews?",
        "Classify the sentiment",
        "How do I export?",
    ],
)
def test_a_question_about_it_is_no_wish(question):
    """It is for the handbook."""
    assert labelled(question) is None


def test_the_sentiment_as_json():
    """In the form asked for."""
    value = json.loads(answer("Only JSON. Classify the sentiment: I love it"))
    assert value == {"sentiment": "positive"}
