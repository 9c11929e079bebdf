from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aeron_magic.sandbox.answers.pages import handbook
from aeron_magic.sandbox.answers.search import Index, index

ROOT = Path(__file__).parents[3]
MEASURES = {
    "developed with": ROOT / "tests" / "fixtures" / "routing.jsonl",
    "held out": ROOT / "tests" / "fixtures" / "questions.jsonl",  # do not tune the search to these
}
ENOUGH = 0.85


def cases(measure):
    return [json.loads(line) for line in MEASURES[measure].read_text("utf-8").splitlines()]


def best(question):
    found = index().search(question)
    return found[0].page.name if found else None


def plain(question):
    return " ".join(re.findall(r"\w+", question.casefold()))


@pytest.mark.parametrize("measure", MEASURES)
def test_questions_find_their_page(measure):
    """At least 85 % of a few hundred questions in users' words find the right page."""
    every = cases(measure)
    wrong = [case for case in every if best(case["question"]) != case["page"]]
    assert 1 - len(wrong) / len(every) >= ENOUGH, wrong


@pytest.mark.parametrize("measure", MEASURES)
def test_no_measured_question_is_a_phrasing(measure):
    """A phrasing finds its page by definition."""
    phrasings = {plain(phrasing) for page in handbook().values() for phrasing in page.phrasings}
    assert not phrasings & {plain(case["question"]) for case in cases(measure)}


@pytest.mark.parametrize("measure", MEASURES)
def test_every_page_is_measured(measure):
    """And no others."""
    assert {case["page"] for case in cases(measure)} == set(handbook())


def test_what_is_in_no_page_finds_nothing():
    """No word known: no page."""
    assert index().search("Quokkas xylophone zzz") == []
    assert index().search("") == []
    assert index().search("the of and") == []


def test_misspelt_words_are_corrected():
    """A letter too many, too few or wrong."""
    assert best("how do I export a converstaion") == "exporting"
    assert best("interupt a reply") == "interrupting"


@pytest.mark.parametrize("hostile", ['"', "a AND", "NEAR(", "title:x", "x*", "'; DROP", "😀 {{"])
def test_query_syntax_is_not_interpreted(hostile):
    """FTS5 operators are only words here."""
    assert isinstance(index().search(hostile), list)


def test_scores_are_between_0_and_1_and_sorted():
    """The best is first."""
    scores = [one.score for one in index().search("How do I stream a reply in Python?")]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] <= scores[0] <= 1


def test_two_indexes_agree():
    """The order of a set has no influence."""
    other = Index(handbook().values())
    for case in cases("developed with")[::20]:
        first, second = (one.search(case["question"]) for one in (index(), other))
        assert first == second


def test_a_very_long_question():
    """Only the first words of a long prompt are searched for."""
    text = " ".join(f"lorem{number}" for number in range(5000))
    assert best(f"How do I export? {text}") == "exporting"


def test_concurrent_calls_build_one_index():
    """Sixteen threads that ask first wait for the same index."""
    code = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from aeron_magic.sandbox.answers.search import index
together = Barrier(16)
def first(_):
    together.wait()
    return index()
with ThreadPoolExecutor(16) as pool:
    assert len(set(pool.map(first, range(16)))) == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)
