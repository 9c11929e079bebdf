"""Which file a misspelt name means."""

from __future__ import annotations

from pathlib import Path

import pytest
from each_case import each_case

from aeron_magic.recording.near_file import near_file, suggest_file

FILES = ("answers.jsonl", "good.chat.md", "good.md", "run-2.jsonl", "b.chat.md", "an\x1bwers.jsonl")


@each_case(
    ("name", "near"),
    [
        ("anwers.jsonl", "answers.jsonl"),
        ("god.chat.md", "good.chat.md"),
        ("god.md", "good.md"),
        ("anwers.csv", ""),
        ("run-3.jsonl", ""),  # another one of a series
        ("a.chat.md", ""),  # alike only in its suffixes
        ("foldr.jsonl", ""),
        ("none/anwers.jsonl", ""),
        ("a\0b", ""),
        ("~nobody-of-this-name/a", ""),
        ("", ""),
    ],
)
def test_a_near_name_in_the_same_folder(
    name: str, near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        Path(file).touch()
    Path("folder.jsonl").mkdir(exist_ok=True)
    assert near_file(Path(name)) == near
    assert suggest_file(Path(name)) == (f"Did you mean `{near}`? " if near else "")
    assert near_file(tmp_path / "anwers.jsonl") == "answers.jsonl"
