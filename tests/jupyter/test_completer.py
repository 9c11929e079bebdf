from __future__ import annotations

from collections.abc import Iterator

import pytest
from fresh_process import printed
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from aeron_magic.jupyter.completer import Matcher, register, unregister


@pytest.fixture
def ip() -> Iterator[InteractiveShell]:
    shell = InteractiveShell()
    shell.user_ns.update(answer="text", author={"name": "Ada"})
    register(
        shell, Matcher(dynamic={"turns": lambda: ["two words"]}, namespace=lambda: shell.user_ns)
    )
    yield shell
    unregister(shell)


def completed(ip: InteractiveShell, cell: str) -> list[str]:
    with provisionalcompleter():
        return [one.text for one in ip.Completer.completions(cell, len(cell))]


IN_IPYTHON = {
    "%%aeron --fo": ["--format"],
    "%%aeron -f ": ["markdown", "text", "json", "table", "code"],
    "%aeron connect s": ["sandbox"],
    '%%aeron --after "tw': ["two words"],
    "%%aeron\nWhat does pri": [],
    "%%aeron\nWhat is \\alph": [],
    "%%aeron\nWhat does ": [],
    "%%aeron\nos.": [],
    "%%aeron\nIs {{answ": ["answer"],
    '%%aeron\nIs {{author["nam': ['"name"]'],
}


@pytest.mark.parametrize("cell", IN_IPYTHON)
def test_ipython_offers_ours_and_no_python_names(cell: str, ip: InteractiveShell) -> None:
    assert completed(ip, cell) == IN_IPYTHON[cell]


def test_elsewhere_ipython_completes_as_before(ip: InteractiveShell) -> None:
    ip.Completer.use_jedi = False
    assert "print" in completed(ip, "pri")
    assert completed(ip, "answ") == ["answer"]


def test_the_older_interface_of_ipython_offers_the_same(ip: InteractiveShell) -> None:
    with pytest.warns(PendingDeprecationWarning):
        assert ip.complete("", "%aeron connect s", 16) == ("s", ["sandbox"])


def test_registering_twice_is_undone_by_one_unregistering(ip: InteractiveShell) -> None:
    register(ip, Matcher())
    assert completed(ip, "%aeron connect s") == ["sandbox"]
    unregister(ip)
    assert ip.Completer.custom_matchers == []
    assert completed(ip, "%%aeron\npri") != []


def test_loading_the_module_in_a_running_kernel_brings_in_nothing_else() -> None:
    code = (
        "import sys, ipykernel.ipkernel; before = set(sys.modules)\n"
        "from aeron_magic.jupyter.completer import Matcher\n"
        "Matcher().find('print', 0, 5)\n"
        "print(sorted(set(sys.modules) - before))"
    )
    ours = ["aeron_magic", "aeron_magic.jupyter", "aeron_magic.jupyter.completer"]
    assert printed(code).strip() == str(ours)


@pytest.mark.jupyter
def test_a_real_kernel_answers_a_complete_request() -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        reply = client.execute_interactive(
            "from aeron_magic.jupyter.completer import Matcher, register\n"
            "answer = 1\n"
            "register(get_ipython(), Matcher(namespace=lambda: globals()))",
            timeout=30,
        )
        assert reply["content"]["status"] == "ok"
        cases = {
            "%%aeron --fo": ("--fo", ["--format"]),
            "%%aeron\npri": ("", []),
            "%%aeron\n{{answ": ("answ", ["answer"]),
        }
        for cell, (fragment, matches) in cases.items():
            content = client.complete(cell, reply=True, timeout=30)["content"]
            assert content["matches"] == matches
            assert cell[content["cursor_start"] :] == fragment
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
