"""Whether checks find changed answers, and never ask a question twice after a kill.

An FAQ of 60 entries is changed: 20 entries get another fact (a regression), 20 the same fact in
other words. Rules have to find all regressions and nothing else, ``same`` both. Then a check of
200 turns is killed at random moments until it ends: a question may come again only if the service
had not answered it completely.

    python tests/campaigns/checks.py [--quick] [--seed N]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aeron_magic import Client, check
from aeron_magic.sandbox import Faults, Sandbox

ENTRIES = 60
CHANGED = 20
"""Entries with another fact, and as many with other words."""

TURNS, LENGTH = 200, 10
"""Turns of the check that is killed, and of each of its conversations."""

TOPICS = (
    "refund settlement chargeback payout transfer mandate dispute invoice receipt subscription "
    "wallet voucher terminal webhook sandbox onboarding limit currency beneficiary reversal"
)
ASPECTS = ("take", "cost", "allow")
WORDINGS = (
    "The {topic} of a payment will {aspect} {fact} units.",
    "For each {topic}, please count with {fact} units; that is what it will {aspect}.",
    "{fact} units.\n\nThat is what a {topic} will {aspect}.",
)

CHILD = """
import sys
from aeron_magic import Client, check
with Client(base_url=sys.argv[1], client_id="me", client_secret="hush-4f1c-hush") as client:
    report = check(*sys.argv[2:], client=client, progress=False)
print((report.result == "passed").sum(), (report.result == "error").sum())
"""


class Tally(NamedTuple):
    """One line of the table; ``violations`` are what must not happen."""

    name: str
    trials: int
    counted: str
    violations: list[str]


def regressions(runs: int, seed: int, folder: Path) -> list[Tally]:
    """Change the FAQ ``runs`` times; check it by rules and by ``same``."""
    rng = random.Random(seed)
    entries = [
        (f"How much does a {topic} {aspect}?", topic, aspect)
        for topic in TOPICS.split()
        for aspect in ASPECTS
    ]
    assert len(entries) == ENTRIES
    missed, false, unsaid, found, reworded = [], [], [], 0, 0
    with Sandbox(answers={"Nothing?": "Nothing."}) as sandbox:
        client = Client(base_url=sandbox.aeronpay_url, client_id="me", client_secret="mine")
        for number in range(runs):
            facts = [rng.randrange(100, 1000) for _ in entries]
            shuffled = rng.sample(range(ENTRIES), ENTRIES)
            wrong, other = set(shuffled[:CHANGED]), set(shuffled[CHANGED : 2 * CHANGED])
            before, after = [], []
            for index, (_, topic, aspect) in enumerate(entries):
                fact = facts[index]
                before.append(WORDINGS[0].format(topic=topic, aspect=aspect, fact=fact))
                new = fact + rng.choice((-1, 1, 10)) if index in wrong else fact
                wording = rng.choice(WORDINGS[1:]) if index in other else WORDINGS[0]
                after.append(wording.format(topic=topic, aspect=aspect, fact=new))
            questions = [question for question, _, _ in entries]
            rules = [f"```expect\ncontains: {fact} units\n```" for fact in facts]
            references = [f"## Reply\n\n{text}" for text in before]
            results = {}
            sandbox.answer_from(dict(zip(questions, after, strict=True)))
            for name, below in (("rules", rules), ("same", references)):
                file = folder / f"{name}.chat.md"
                turns = zip(questions, below, strict=True)
                text = "\n".join(f"## Question\n\n{one}\n\n{end}\n" for one, end in turns)
                file.write_text(text, encoding="utf-8")
                report = check(file, client=client, progress=False)
                results[name] = {i for i, one in enumerate(report.result) if one != "passed"}
            missed += [f"run {number}: {entries[i][0]}" for i in wrong - results["rules"]]
            false += [f"run {number}: {entries[i][0]}" for i in results["rules"] - wrong]
            if results["same"] != wrong | other:
                unsaid.append(f"run {number}: same reports {sorted(results['same'])}")
            found += len(wrong & results["rules"])
            reworded += len(other & results["same"])
        client.close()
    return [
        Tally("regressions found by rules", runs * CHANGED, f"{found:,}", missed),
        Tally("false alarms of rules", runs * (ENTRIES - CHANGED), f"{len(false)}", false),
        Tally("rewordings changed for `same`", runs * CHANGED, f"{reworded:,}", unsaid),
    ]


def kills(rounds: int, seed: int, folder: Path, apart: tuple[int, int] = (5, 60)) -> Tally:
    """Kill a check of 200 turns at random moments, and run it again until it ends.

    ``apart`` is the least and the greatest number of requests between two kills.
    """
    rng = random.Random(seed)
    files = []
    for number in range(TURNS // LENGTH):
        file = folder / f"{number}.chat.md"
        turns = (f"question {number}-{turn}" for turn in range(LENGTH))
        file.write_text(
            "".join(f"## Question\n\n{one}\n\n```expect\nmatches: .\n```\n\n" for one in turns),
            encoding="utf-8",
        )
        files.append(str(file))
    violations, killed, again = [], 0, 0
    for _ in range(rounds):
        with Sandbox(faults=Faults(pause=0.004)) as sandbox:
            command = [sys.executable, "-c", CHILD, sandbox.aeronpay_url, *files]
            while True:
                more = len(sandbox.log) + rng.randint(*apart)
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                    while child.poll() is None and len(sandbox.log) < more:
                        time.sleep(rng.uniform(0.001, 0.02))
                    if child.poll() is None:
                        child.kill()
                        killed += 1
                        continue
                    output = child.communicate()[0]
                passed, lost = map(int, output.split())
                if passed == TURNS:
                    break
                if not lost:
                    violations.append(f"ended with {passed} of {TURNS} answers")
                    break
            time.sleep(0.1)
            asked: dict[str, list[bool]] = {}
            for seen in sandbox.log.of("create-response"):
                if seen.body is None:
                    continue  # killed before the request was complete
                whole = seen.done and not seen.closed_by_client
                asked.setdefault(seen.body["user"]["text"], []).append(whole)
        again += sum(len(one) - 1 for one in asked.values())
        violations += [f"{text} came {len(n)} times" for text, n in asked.items() if any(n[:-1])]
    return Tally("killed checks of 200 turns", killed, f"{again} unanswered came again", violations)


def campaign(seed: int, *, quick: bool) -> list[Tally]:
    """All cases."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = str(Path(folder, "data"))
        os.environ["AERON_HISTORY"] = str(Path(folder, "data", "history.sqlite3"))
        return [
            *regressions(2 if quick else 100, seed, Path(folder)),
            kills(1 if quick else 5, seed, Path(folder)),
        ]


def show(tallies: Sequence[Tally]) -> int:
    """Print the table; the number of violations."""
    print(f"{'case':<32}{'trials':>8}  counted")
    for one in tallies:
        print(f"{one.name:<32}{one.trials:>8,}  {one.counted}")
    violations = [text for one in tallies for text in one.violations]
    print(*violations[:20], sep="\n")
    print(f"{len(violations)} violations")
    return len(violations)


def main() -> int:
    """Run the campaign; 0 if there was no violation."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a part: about twenty seconds")
    parser.add_argument("--seed", type=int, default=14)
    options = parser.parse_args()
    return int(show(campaign(options.seed, quick=options.quick)) > 0)


if __name__ == "__main__":
    sys.exit(main())
