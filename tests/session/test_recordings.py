from __future__ import annotations

from pathlib import Path

import pytest
from each_case import each_case

from aeron_magic.errors import UsageError
from aeron_magic.session.recordings import open_recorder


@each_case("name", ["of", "ff", "oof", "offf", "OFT", "0ff", "ofg", "off;", "o f", "oaff"])
def test_a_name_within_one_letter_of_off_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_recorder(name)
    assert caught.value.hint == f"Did you mean `off`? For a file of that name write `./{name}`."


def test_other_short_names_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("./of", "of.jsonl", "of/", "foo", "on", "offer", "talk", "o"):
        assert open_recorder(name) is not None, name
    for name in ("off", " OFF ", ""):
        assert open_recorder(name) is None
