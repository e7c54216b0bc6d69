"""Stands between the agent and the ComfyUI that it has started, so that neither outlives the other for long.

    python -I -S guardian.py FOLDER '{"command": [...], "end": [...], "linger_seconds": …, "log_bytes": …}'

A program of its own, of the standard library alone, and nobody's child. The agent's connection to `guardian.sock` is
the leash. A line `end` ends ComfyUI and all that it has started. When the connection breaks without it the agent has
died: its successor has `linger_seconds` to come and find the pictures where they were, then ComfyUI is ended. When
ComfyUI ends, the agent is told how. Should the guardian itself be killed, the kernel ends ComfyUI. What ComfyUI says
goes into `comfyui.log`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SOCKET = "guardian.sock"
LOG = "comfyui.log"
LOGS_KEPT = 3
OBEY_SECONDS = 3.0
"""From the request to end to the order to."""
DIE_SECONDS = 5.0
"""A process that waits for its driver dies late."""
END_COMMAND_SECONDS = 5.0
LOOK_SECONDS = 0.02
IGNORED = (signal.SIGINT, signal.SIGHUP)
"""Meant for the agent, which may want its pictures finished first."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


class Log:
    """`comfyui.log`, and its predecessors `.1` to `.3`."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._open()

    def write(self, said: bytes) -> None:
        if self._file.tell() + len(said) > self._bytes_max:
            self._file.close()
            for number in reversed(range(1, LOGS_KEPT)):
                if os.path.exists(f"{LOG}.{number}"):
                    os.replace(f"{LOG}.{number}", f"{LOG}.{number + 1}")
            os.replace(LOG, f"{LOG}.1")
            self._open()
        with contextlib.suppress(OSError):  # a full disk takes no log, and that must not end ComfyUI
            self._file.write(said)

    def note(self, said: str) -> None:
        self.write(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] tessera: {said}\n".encode())

    def _open(self) -> None:
        self._file = open(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)  # noqa: SIM115


class Guardian:
    def __init__(self, order: dict[str, object]) -> None:
        self.command: list[str] = order["command"]  # type: ignore[assignment]
        self.end_command: list[str] = order["end"]  # type: ignore[assignment]
        self.linger_seconds = float(order["linger_seconds"])  # type: ignore[arg-type]
        self.log = Log(int(order["log_bytes"]))  # type: ignore[call-overload]
        self.hello = {"command": self.command, "url": order["url"], "guardian": os.getpid()}
        self.selector = selectors.DefaultSelector()
        self.leash: socket.socket | None = None
        self.alone_since: float | None = time.monotonic()

    def run(self) -> None:
        woken = _signals()
        try:
            self.child = _start(self.command)
        except OSError as error:
            self.log.note(f"cannot be started: {error}")
            return
        self.said = self.child.stdout.fileno()  # type: ignore[union-attr]
        self.log.note(f"started as process {self.child.pid}")
        listener = _listen()
        self.selector.register(listener, selectors.EVENT_READ, self.meet)
        self.selector.register(self.said, selectors.EVENT_READ, self.hear)
        self.selector.register(woken, selectors.EVENT_READ, self.wake)
        why = self.watch()
        listener.close()
        os.unlink(SOCKET)
        self.end(why)

    def watch(self) -> str:
        """Until there is a reason to end, which is told."""
        while True:
            left = None
            if self.alone_since is not None:
                left = self.alone_since + self.linger_seconds - time.monotonic()
                if left <= 0:
                    return "the agent has died"
            for key, _ in self.selector.select(left):
                if (why := key.data(key.fileobj)) is not None:
                    return str(why)
            if self.child.poll() is not None:
                return "by itself"

    def meet(self, listener: socket.socket) -> None:
        """An agent has come; the one before is gone."""
        connection, _ = listener.accept()
        if self.leash is not None:
            self.drop()
        self.leash, self.alone_since = connection, None
        self.selector.register(connection, selectors.EVENT_READ, self.obey)
        self.tell({**self.hello, "pid": self.child.pid})

    def obey(self, connection: socket.socket) -> str | None:
        try:
            said = connection.recv(4_096)
        except OSError:
            said = b""
        if b"end" in said:
            return "as the agent wished"
        if not said:
            self.drop()
            self.log.note("the agent is gone")
        return None

    def drop(self) -> None:
        assert self.leash is not None
        self.selector.unregister(self.leash)
        self.leash.close()
        self.leash, self.alone_since = None, time.monotonic()

    def hear(self, _: object) -> None:
        said = os.read(self.said, 65_536)
        if said:
            self.log.write(said)
        else:
            self.selector.unregister(self.said)
            self.said = -1

    def wake(self, woken: socket.socket) -> str | None:
        return "as a signal told" if signal.SIGTERM in woken.recv(4_096) else None

    def tell(self, news: dict[str, object]) -> None:
        if self.leash is not None:
            with contextlib.suppress(OSError):
                self.leash.sendall(json.dumps(news).encode() + b"\n")

    def end(self, why: str) -> None:
        """Nothing of it is left, then everybody is told."""
        status = self.child.poll()
        if self.end_command:
            _run_quietly(self.end_command)
        if status is None:
            _signal_group(self.child.pid, signal.SIGTERM)
            self.listen_until(lambda: self.child.poll() is not None, OBEY_SECONDS)
        _signal_group(self.child.pid, signal.SIGKILL)
        self.listen_until(lambda: self.child.poll() is not None and not _kill_descendants(), DIE_SECONDS)
        self.log.note(f"ended, {why}: {self.child.poll()}")
        self.tell({"ended": why, "status": status})

    def listen_until(self, over: Callable[[], bool], seconds: float) -> None:
        """What it says in the end belongs into the log too."""
        until = time.monotonic() + seconds
        while not over() and time.monotonic() < until:
            if self.said < 0:
                time.sleep(LOOK_SECONDS)
            elif select.select([self.said], [], [], LOOK_SECONDS)[0]:
                self.hear(None)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_be_born,  # noqa: PLW1509 -- there are no threads here
    )


def _listen() -> socket.socket:
    """By a short name in this folder, since the address of a socket may have no more than 107 bytes."""
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o077)
    listener.bind(SOCKET)
    listener.listen(4)
    return listener


def _signals() -> socket.socket:
    """Becomes readable with a signal: a child has ended, or somebody wishes the end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    signal.set_wakeup_fd(ours.fileno())
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    _keep.append(ours)
    return theirs


_keep: list[socket.socket] = []


def _be_born() -> None:
    """In the child: it dies with us, and what we leave to the agent is no business of its."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _descendants() -> list[int]:
    """Children of this process; orphans of ComfyUI become ours."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _kill_descendants() -> bool:
    """Kills what is left, also what has left the group; whether there was something."""
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def _run_quietly(command: list[str]) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=END_COMMAND_SECONDS, check=False)


def main() -> None:
    if os.fork():  # an agent that comes later is no parent either
        os._exit(0)
    os.setsid()
    os.chdir(sys.argv[1])
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    Guardian(json.loads(sys.argv[2])).run()


if __name__ == "__main__":
    main()
