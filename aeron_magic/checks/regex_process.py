"""The regular expressions of ``matches:`` rules, applied in a process of their own.

A file can be from another user, and a regular expression can take hours or all memory. Python's
``re`` cannot be stopped and blocks all threads, but a process can be stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref

from aeron_magic.forks import restart_after_fork

SECONDS = 4.0
"""How long one search may take. Each that takes longer halves the limit of those after it."""

MIN_SECONDS = 0.5
"""The shortest limit; a search in some megabytes takes a fraction of it."""

_PROGRAM = """
import json, re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt of the kernel reaches its children
alarm = getattr(signal, "alarm", int)  # ends this process if the parent is gone
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
except (ImportError, OSError, ValueError):
    pass
print(flush=True)
for line in sys.stdin:
    pattern, text = json.loads(line)
    alarm(60)
    try:
        answer = re.compile(pattern, re.MULTILINE).search(text) is not None
    except Exception as error:
        answer = str(error) or type(error).__name__
    alarm(0)
    print(json.dumps(answer), flush=True)
"""


class RegexProcess:
    """Searches texts; the process starts with the first search, and ends with this object."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., RegexProcess] | None = None
        self._limit = SECONDS
        restart_after_fork(self)

    def after_fork(self) -> None:
        """Leave the process to the parent."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._process = self._finalizer = None

    def validate(self, pattern: str) -> None:
        """Raise a ValueError as :meth:`found` does, if the pattern cannot be used."""
        self.found(pattern, "")

    def found(self, pattern: str, text: str) -> bool:
        """Whether the pattern is found in ``text``; ``^`` and ``$`` match at each line.

        Raises ValueError: the pattern is invalid, or takes too long; the message says which.
        """
        try:
            answer = self._answer(pattern, text)
        except OSError as error:
            raise ValueError(f"its process failed, {error.strerror or error}") from None
        if not isinstance(answer, bool):
            raise ValueError(answer)
        return answer

    def _answer(self, pattern: str, text: str) -> bool | str:
        process, late = self._process or self._start(), threading.Event()
        assert process.stdin
        assert process.stdout

        def end_late() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._limit, end_late)
        timer.daemon = True
        request, line = json.dumps([pattern, text]).encode() + b"\n", b""
        try:
            timer.start()
            process.stdin.write(request)
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:  # of a write, if the time ended before all was written
            if not late.is_set():
                raise
        finally:
            timer.cancel()
            timer.join()
            if late.is_set() or not line:
                self._kill()
        if line:
            answer: bool | str = json.loads(line)
            return answer
        if not late.is_set():
            return "its process ended unexpectedly"
        limit, self._limit = self._limit, max(self._limit / 2, MIN_SECONDS)
        reason = f"it takes more than {limit:.3g} seconds"
        if limit < SECONDS:
            reason += f" (less than {SECONDS:.3g}, because searches before it took too long)"
        return reason

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        finalizer = weakref.finalize(self, _kill_process, process)
        assert process.stdout
        process.stdout.readline()  # it has started: that does not count
        self._process, self._finalizer = process, finalizer
        return process

    def _kill(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None


def _kill_process(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with process:
        pass
