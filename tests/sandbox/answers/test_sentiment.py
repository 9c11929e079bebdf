from __future__ import annotations

import json

from aeron_magic.sandbox.answers.answer import answer
from aeron_magic.sandbox.answers.intent import parse
from aeron_magic.sandbox.answers.sentiment import sentiment


def test_good_and_bad_words_are_counted():
    """A negation before a word inverts it."""
    for text, label in {
        "I love this phone, it works great": "positive",
        "Terrible. It broke after a day.": "negative",
        "It is a phone.": "neutral",
        "not good": "negative",
        "Not bad at all!": "positive",
        "good screen, bad battery": "neutral",
        "I don\u2019t like it": "negative",
        "": "neutral",
    }.items():
        assert sentiment(text) == label, text


def test_a_request_for_the_sentiment():
    """The text is found, and one word answers."""
    for question in (
        "Classify the sentiment: I love it",
        "Classify the sentiment of this review:\nI love it",
        'What is the sentiment of "I love it"?',
        "Is this review positive, negative or neutral?\nI love it",
        "Sentiment: I love it",
    ):
        assert answer(question) == "positive", question


def test_a_question_about_classifying_is_for_the_handbook():
    """So is a request without a text."""
    for question in (
        "How do I classify the sentiment of each row: with --each?",
        "How can I classify reviews?",
        "Classify the sentiment",
        "How do I export?",
    ):
        assert parse(question).task == "explain", question


def test_the_sentiment_as_json():
    """In the requested form."""
    value = json.loads(answer("Only JSON. Classify the sentiment: I love it"))
    assert value == {"sentiment": "positive"}
