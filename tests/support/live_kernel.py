"""A real kernel as a front end uses it: it gets cell ids and sends messages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fresh_shell import reset_cell
from jupyter_client.manager import KernelManager
from private_home import private_environment

__all__ = ["Kernel", "Message", "Run", "running_kernel", "start_kernel"]

Output = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One message that the kernel published for a cell.

    Parameters
    ----------
    kind
        ``stream``, ``display_data``, ``update_display_data``, ``clear_output``, ``error``, …
    content
        The message's content.
    size
        Bytes on the wire, envelope included.
    at
        Seconds between the cell's start and the message's arrival.
    """

    kind: str
    content: dict[str, Any]
    size: int
    at: float


@dataclass
class Run:
    """A cell that was sent to the kernel, and what the kernel has sent back so far."""

    began: float
    messages: list[Message] = field(default_factory=list)
    idle: bool = False
    reply: dict[str, Any] | None = None
    ended: float = 0.0

    @property
    def status(self) -> str:
        """``ok``, ``error`` or ``aborted``; only once the cell has ended."""
        assert self.reply is not None, "the cell has not ended"
        status: str = self.reply["status"]
        return status

    @property
    def seconds(self) -> float:
        """From the start to the end of the cell."""
        return self.ended - self.began

    @property
    def size(self) -> int:
        """Bytes of all messages that show something in the cell."""
        shown = ("stream", "display_data", "update_display_data", "execute_result", "error")
        return sum(message.size for message in self.messages if message.kind in shown)

    def of(self, *kinds: str) -> list[Message]:
        """Return the messages of these kinds, in order."""
        return [message for message in self.messages if message.kind in kinds]

    @property
    def outputs(self) -> list[Output]:
        """The cell's outputs now, combined as JupyterLab does."""
        return assemble(self.messages)

    @property
    def states(self) -> Iterator[list[Output]]:
        """The cell's outputs after each message, in order."""
        for count in range(1, len(self.messages) + 1):
            yield assemble(self.messages[:count])

    @property
    def text(self) -> str:
        """The text of stream outputs and the ``text/plain`` of displays, joined."""
        return "".join(
            output.get("text", "") or output.get("data", {}).get("text/plain", "")
            for output in self.outputs
        )


def assemble(messages: list[Message]) -> list[Output]:
    """Combine messages into outputs: join streams, apply updates and ``clear_output``."""
    outputs: list[Output] = []
    clear_next = False
    for message in messages:
        content = message.content
        if message.kind == "clear_output":
            if content.get("wait"):
                clear_next = True
            else:
                outputs.clear()
            continue
        if message.kind == "update_display_data":
            display = content["transient"]["display_id"]
            for output in outputs:
                if output.get("display_id") == display:
                    output.update(data=content["data"], metadata=content["metadata"])
            continue
        if message.kind not in ("stream", "display_data", "execute_result", "error"):
            continue
        if clear_next:
            outputs.clear()
            clear_next = False
        if message.kind == "stream":
            if outputs and outputs[-1].get("name") == content["name"]:
                outputs[-1]["text"] += content["text"]
            else:
                outputs.append({"output_type": "stream", **content})
        else:
            output = {key: value for key, value in content.items() if key != "transient"}
            display = content.get("transient", {}).get("display_id")
            if display:
                output["display_id"] = display
            outputs.append({"output_type": message.kind, **output})
    return outputs


class Kernel:
    """Executes one cell at a time in a kernel and collects what the kernel publishes."""

    def __init__(self, manager: KernelManager) -> None:
        self._manager = manager
        self._client = manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=40)
        self._runs: dict[str, Run] = {}

    def close(self) -> None:
        """Close the channels and end the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def kill(self) -> None:
        """End the kernel with SIGKILL: it cannot write, send or close anything any more."""
        process = self._manager.provisioner.process
        process.kill()
        process.wait()
        self.close()

    def start(
        self,
        code: str,
        cell_id: str | None = "cell-1",
        *,
        silent: bool = False,
        deleted: Sequence[str] = (),
    ) -> Run:
        """Send a cell without waiting for its end.

        Parameters
        ----------
        code
            The cell's source.
        cell_id
            The cell id that JupyterLab sends; None sends none, as nbclient does.
        silent
            As the protocol's ``silent``: publish nothing, count no execution.
        deleted
            The ids of deleted cells that JupyterLab names once.
        """
        session = self._client.session
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        metadata = {} if cell_id is None else {"cellId": cell_id, "deletedCells": [*deleted]}
        message = session.msg("execute_request", content, metadata=metadata)
        run = Run(time.monotonic())
        self._runs[message["header"]["msg_id"]] = run
        self._client.shell_channel.send(message)
        return run

    def execute(self, code: str, cell_id: str | None = "cell-1", timeout: float = 30) -> Run:
        """Run a cell and wait for its end."""
        return self.finish(self.start(code, cell_id), timeout)

    def finish(self, run: Run, timeout: float = 30) -> Run:
        """Wait for a cell's end."""
        return self.wait(run, lambda now: now.idle and now.reply is not None, timeout)

    def wait(self, run: Run, until: Callable[[Run], bool], timeout: float = 30) -> Run:
        """Receive messages until a condition holds for what the cell has shown.

        Raises
        ------
        AssertionError
            It did not hold in time.
        """
        deadline = time.monotonic() + timeout
        while not until(run):
            left = deadline - time.monotonic()
            assert left > 0, f"not within {timeout} s; so far: {run.messages}"
            if not self._take("iopub", min(left, 0.05)):
                self._take("shell", 0)
        return run

    def send_comm(self, comm_id: str, content: dict[str, Any]) -> None:
        """Send a custom message to a widget, as a page does."""
        data = {"method": "custom", "content": content}
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self._client.shell_channel.send(message)

    def reset(self, folder: Path, **environment: str) -> Run:
        """Prepare the kernel for another test; see :func:`fresh_shell.reset_cell`."""
        return self.execute(reset_cell(folder, **environment), None)

    def interrupt(self) -> None:
        """Interrupt the kernel, as the stop button does."""
        self._manager.interrupt_kernel()

    def value(self, expression: str, timeout: float = 10) -> Any:
        """Return the value of an expression in the kernel; it has to be JSON serializable."""
        code = f"import json as _json; print(_json.dumps({expression}))"
        run = self.execute(code, None, timeout)
        assert run.status == "ok", run.reply
        return json.loads(run.text)

    def complete(self, cell: str) -> dict[str, Any]:
        """Return the reply to a completion request at the end of a cell."""
        reply = self._client.complete(cell, reply=True, timeout=30)
        return cast("dict[str, Any]", reply["content"])

    def _take(self, name: str, timeout: float) -> bool:
        """Receive one message from a channel; return whether there was one."""
        channel = getattr(self._client, f"{name}_channel")
        if not channel.socket.poll(int(timeout * 1000)):
            return False
        session = self._client.session
        frames = channel.socket.recv_multipart()
        _, parts = session.feed_identities(frames)
        message = session.deserialize(parts)
        run = self._runs.get(message["parent_header"].get("msg_id", ""))
        if run is None:
            return True
        now = time.monotonic()
        kind = message["header"]["msg_type"]
        if name == "shell":
            run.reply, run.ended = message["content"], now
        elif kind == "status":
            run.idle = message["content"]["execution_state"] == "idle"
        elif kind != "execute_input":
            size = sum(map(len, frames))
            run.messages.append(Message(kind, message["content"], size, now - run.began))
        return True


def start_kernel(home: Path, python: str = "", **extra: str) -> Kernel:
    """Start a Python kernel that keeps its files in `home`; the caller has to close it.

    Parameters
    ----------
    home
        A folder for its settings and history; also its working directory.
    python
        The interpreter, if it is not this one.
    extra
        More environment variables.
    """
    manager = KernelManager(kernel_name="python3")
    if python:
        assert manager.kernel_spec is not None
        manager.kernel_spec.argv[0] = python
    manager.start_kernel(
        # Each kernel would warn that its connection to this machine is not encrypted.
        extra_arguments=["--log-level=ERROR"],
        env={**private_environment(home), **extra},
        cwd=str(home),
    )
    return Kernel(manager)


@contextmanager
def running_kernel(home: Path, python: str = "", **extra: str) -> Iterator[Kernel]:
    """As :func:`start_kernel`; the kernel is closed at the end."""
    kernel = start_kernel(home, python, **extra)
    try:
        yield kernel
    finally:
        kernel.close()
