"""Small programs that call the service as agents and customers do; each runs in a process of its own.

`receive URL CREDENTIAL SECONDS [PACE]`: an agent that waits for work and notes when it held each lease (the job then
fails for good, after PACE seconds, so that the slot is free again). `send URL KEY COUNT GAP_MS`: a customer who notes
when each order was sent. `listen`: a receiver of webhooks.
`crowd URL CREDENTIALS_FILE`: many agents that wait until the input ends, and what they were told. Times are the
machine's monotonic clock, which all processes share. Each prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web

API = "/api/v1"
ORDER = {"kind": "image", "model": "testcard", "prompt": "a red fox in fresh snow", "width": 512, "height": 512}
POLL_SECONDS = 25.0
LIMIT_SECONDS = 60.0
ANSWER = re.compile(rb"HTTP/1\.1 .*?\r\ncontent-length: (?P<length>[0-9]+)\r\n.*?\r\n\r\n", re.DOTALL | re.IGNORECASE)
"""The head of an answer."""


def claim_body(wait: float) -> dict[str, Any]:
    able = {"kind": "image", "model": "testcard"}
    slot = {"slot": 0, "capabilities": [able], "loaded": able}
    return {"claim_id": str(uuid.uuid4()), "protocol": 1, "wait": wait, "slots": [slot]}


class Requests:
    """The bytes of requests with one credential."""

    def __init__(self, url: str, credential: str) -> None:
        host = url.removeprefix("http://").split(":")[0]
        self._head = f"Host: {host}\r\nAuthorization: Bearer {credential}\r\nContent-Type: application/json\r\n"

    def request(self, path: str, body: dict[str, Any], **headers: str) -> bytes:
        said = json.dumps(body)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {API}{path} HTTP/1.1\r\n{self._head}{more}Content-Length: {len(said)}\r\n\r\n{said}".encode()


class Caller(Requests):
    """One kept-alive connection and a credential. On a bare socket, because the service is measured and not its client:
    that of the standard library takes half a millisecond for its part of a request."""

    def __init__(self, url: str, credential: str) -> None:
        super().__init__(url, credential)
        host, port = url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> bytes:
        """The whole answer."""
        self._socket.sendall(request)
        answer = b""
        while not (found := ANSWER.match(answer)) or len(answer) < found.end() + int(found["length"]):
            more = self._socket.recv(65_536)
            if not more:
                raise RuntimeError("The service has closed the connection.")
            answer += more
        return answer

    def post(self, path: str, body: dict[str, Any], **headers: str) -> Any:
        return told(self.exchange(self.request(path, body, **headers)))


def told(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    if int(head.split(b" ", 2)[1]) >= 300:
        raise RuntimeError(answer.decode())
    return json.loads(body)


def receive(caller: Caller, seconds: float, pace: float = 0.0) -> dict[str, float]:
    held: dict[str, float] = {}
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        answer = caller.exchange(caller.request("/worker/claim", claim_body(min(left, POLL_SECONDS))))
        now = time.monotonic()
        for lease in told(answer)["leases"]:
            held[lease["job_id"]] = now
            time.sleep(pace)
            path = f"/worker/jobs/{lease['job_id']}/attempts/{lease['attempt']}/fail"
            caller.post(path, {"cause": "invalid_input"}, **{"Tessera-Lease-Token": lease["token"]})
    return held


def send(caller: Caller, count: int, gap_ms: float) -> dict[str, float]:
    sent: dict[str, float] = {}
    order = caller.request("/jobs", ORDER)
    due = time.monotonic()
    for _ in range(count):
        now = time.monotonic()
        sent[told(caller.exchange(order))["id"]] = now
        due += gap_ms / 1e3
        time.sleep(max(0.0, due - time.monotonic()))
    return sent


async def listen() -> None:
    """A receiver of webhooks that thanks for everything; its address is the first line it prints."""

    async def thank(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        await request.read()
        return aiohttp.web.Response(status=204)

    server = aiohttp.web.ServerRunner(aiohttp.web.Server(thank))
    await server.setup()
    site = aiohttp.web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{server.addresses[0][1]}/hook", flush=True)
    await asyncio.Event().wait()


async def crowd(url: str, credentials: list[str]) -> dict[str, list[float]]:
    """When a lease came, and when an answer came without one, until the input ends."""
    heard: dict[str, list[float]] = {"leases": [], "empty": []}

    async def wait(credential: str) -> None:
        headers = {"Authorization": f"Bearer {credential}"}
        async with session.post(f"{API}/worker/claim", json=claim_body(POLL_SECONDS), headers=headers) as answer:
            leases = (await answer.json())["leases"]
        heard["leases" if leases else "empty"].append(time.monotonic())

    timeout = aiohttp.ClientTimeout(total=LIMIT_SECONDS)
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        waiting = [asyncio.create_task(wait(credential)) for credential in credentials]
        await asyncio.to_thread(sys.stdin.read)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return heard


def main(role: str, url: str, credential: str, *numbers: str) -> None:
    result: dict[str, Any]
    match role:
        case "receive":
            result = receive(Caller(url, credential), *map(float, numbers))
        case "send":
            result = send(Caller(url, credential), int(numbers[0]), float(numbers[1]))
        case "listen":
            asyncio.run(listen())
        case "crowd":
            result = asyncio.run(crowd(url, Path(credential).read_text().split()))
        case _:
            raise ValueError(role)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
