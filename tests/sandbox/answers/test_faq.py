"""The answers of a file of the user's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aeron_magic.sandbox import Sandbox
from aeron_magic.sandbox.__main__ import main
from aeron_magic.sandbox.answers.faq import UNKNOWN, Faq

ENTRIES = [
    ("How long does a refund take?", "Three to five days."),
    ("Which fee applies to a card payment?", 'A card payment costs 2 %; see "fees".'),
    ("रिफंड में कितना समय लगता है?", "तीन दिन।"),
]
CONTENT = {
    "faq.csv": "Question,Answer,Note\n"
    + "".join('"{}","{}",x\n'.format(q, a.replace('"', '""')) for q, a in ENTRIES),
    "excel.csv": "\ufeffquestion;answer\r\n"
    + "".join('{};"{}"\r\n'.format(q, a.replace('"', '""')) for q, a in ENTRIES),
    "faq.jsonl": "".join(
        '{{"question": "{}", "answer": "{}"}}\n\n'.format(q, a.replace('"', '\\"'))
        for q, a in ENTRIES
    ),
    "faq.md": "# Our FAQ\n\n" + "".join(f"## {q}\n\n{a}\n\n" for q, a in ENTRIES),
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", CONTENT)
def test_each_kind_of_file_gives_the_same_answers(name: str, tmp_path: Path) -> None:
    faq = Faq(write(tmp_path / name, CONTENT[name]))
    assert len(faq) == 3
    assert [faq.answer(question) for question, _ in ENTRIES] == [answer for _, answer in ENTRIES]


def test_the_search_of_the_handbook_finds_a_question_in_other_words() -> None:
    faq = Faq(dict(ENTRIES))
    assert faq.answer("when do I get my refunds?") == "Three to five days."
    assert faq.answer("what's the FEE for cards") == ENTRIES[1][1]


@pytest.mark.parametrize("question", ["Who won the match?", "?", "", "the and of", "你好"])
def test_an_unknown_question_gets_an_honest_answer(question: str) -> None:
    assert Faq(dict(ENTRIES)).answer(question) == UNKNOWN


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("दिन क्या है?", "दान क्या है?"),
        ("மணி", "மண்"),
        ("C++ price?", "C# price?"),
        ("5 > 3?", "5 < 3?"),
    ],
)
def test_questions_that_differ_in_vowel_signs_or_signs_are_two(first: str, second: str) -> None:
    faq = Faq({first: "one", second: "two"})
    assert [faq.answer(first), faq.answer(second.lower())] == ["one", "two"]


def test_a_question_may_be_composed_of_other_characters() -> None:
    """And have other signs."""
    assert Faq({"ज़रूर कीमत?": "so"}).answer("\u095bरूर  कीमत!") == "so"


def test_a_question_of_small_words_finds_its_own_entry() -> None:
    assert Faq({"How can I do it?": "Like this."}).answer("how can i do it") == "Like this."


def test_markdown_keeps_code_with_signs_of_a_heading(tmp_path: Path) -> None:
    text = "# Install it?\n\n~~~sh\n# not a heading\npip install x\n~~~\n\nDone. ##\n"
    faq = Faq(write(tmp_path / "a.md", text))
    assert len(faq) == 1
    assert faq.answer("install it") == text.partition("\n\n")[2].rstrip("\n")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "", "columns question and answer"),
        ("a.csv", "q,a\n1,2\n", "columns question and answer"),
        ("a.csv", "question,answer\n", "no question with an answer"),
        ("a.csv", 'question,answer\na,"b\n', "not a CSV file"),
        ("a.jsonl", '{"question": 1}\n', "line 1"),
        ("a.jsonl", '\n["question", "answer"]\n', "line 2"),
        ("a.jsonl", "[" * 100_000, "line 1"),
        ("a.md", "only text\n", "no question with an answer"),
        ("a.txt", "x", ".csv, .jsonl or .md"),
    ],
)
def test_an_unusable_file_says_what_is_missing(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=problem):
        Faq(write(tmp_path / name, text))


def test_bytes_that_are_no_text_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"question,answer\n\xff,\xfe\n")
    with pytest.raises(ValueError, match="utf-8"):
        Faq(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError):
        Faq(tmp_path / "b.csv")
    os.mkfifo(tmp_path / "c.csv")
    with pytest.raises(ValueError, match="not a file"):
        Faq(tmp_path / "c.csv")


def test_a_changed_file_changes_the_answers_of_a_running_sandbox(
    tmp_path: Path, visit: Callable[[Sandbox], Any]
) -> None:
    path = write(tmp_path / "faq.csv", "question,answer\nRefund?,Three days.\n")
    with Sandbox(answers=path) as sandbox:
        visitor = visit(sandbox)
        assert visitor.create("Refund?").json()["system"]["text"] == "Three days."
        write(path, "question,answer\nRefund?,Seven days.\n")
        assert visitor.create("Refund?").json()["system"]["text"] == "Seven days."
        path.unlink()
        assert "cannot be read" in visitor.create("Refund?").json()["system"]["text"]
        sandbox.answer_from(None)
        assert "%%aeron" in visitor.create("How do I ask a question?").json()["system"]["text"]


def test_the_command_line_names_a_file_that_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and a status."""
    (tmp_path / "empty.csv").write_text("question,answer\n")
    for name, why in {"none.csv": "No such file", "empty.csv": "it has no question"}.items():
        assert main(["--answers", str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"{tmp_path / name}: {why}")
        assert error.count("\n") == 1
