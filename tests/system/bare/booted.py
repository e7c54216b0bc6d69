"""What an operator sees of a service that systemd runs behind a proxy; runs in the machine, as root, with the standard
library only.

    python3 booted.py DOMAIN AUTHORITY

Prints what was found as one line of JSON. The certificate of the proxy is believed by what AUTHORITY has signed alone.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

UNIT = "tessera@8000"
PATIENCE_SECONDS = 60.0
BEAT_SECONDS = 0.1
UPLOAD_BYTES = 3_000_000


class Site:
    """The public address, by a connection of its own for each request."""

    def __init__(self, domain: str, authority: str, key: str) -> None:
        self._domain, self._key = domain, key
        self._tls = ssl.create_default_context(cafile=authority)

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._domain, context=self._tls, timeout=PATIENCE_SECONDS)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> dict[str, Any]:
        link = self.connection()
        try:
            link.request(method, path, body, {**self.headers(), "Content-Type": kind} if body else self.headers())
            answer = link.getresponse()
            content = answer.read()
            told = json.loads(content) if "json" in (answer.headers["Content-Type"] or "") else {"bytes": len(content)}
            return {"status": answer.status, "headers": dict(answer.headers.items()), "said": told}
        finally:
            link.close()


def main(domain: str, authority: str) -> None:
    made = json.loads(run("tessera", "user", "create", f"ada-{int(time.time())}", "--plan", "pro", "--json"))
    site = Site(domain, authority, json.loads(run("tessera", "key", "create", made["id"], "--json"))["key"])
    found = {
        "tls": tls(site),
        "plain": plain(domain),
        "ready": site.call("GET", "/readyz"),
        "metrics": site.call("GET", "/metrics"),
        "page": site.call("GET", "/"),
        "picture": picture(site),
        "stream": stream(site),
        "upload": upload(site),
        "restart": unnoticed(site, "systemctl", "restart", UNIT),
        "killed": unnoticed(site, "systemctl", "kill", "--signal=KILL", UNIT),
        "watchdog": watchdog(),
        "logs": run("journalctl", "--unit=tessera@*", "--unit=tessera-*", "--output=cat", "--no-pager"),
    }
    print(json.dumps(found))


def tls(site: Site) -> dict[str, Any]:
    link = site.connection()
    link.connect()
    assert isinstance(link.sock, ssl.SSLSocket)
    found = {"version": link.sock.version(), "names": [list(one) for one in link.sock.getpeercert()["subjectAltName"]]}  # type: ignore[index]
    link.close()
    return found


def plain(domain: str) -> dict[str, Any]:
    link = http.client.HTTPConnection(domain, timeout=PATIENCE_SECONDS)
    link.request("GET", "/docs?x=1")
    answer = link.getresponse()
    return {"status": answer.status, "location": answer.headers["Location"]}


def picture(site: Site) -> dict[str, Any]:
    """Ordered and fetched as anybody would."""
    order = json.dumps({"prompt": "a lighthouse", "width": 256, "height": 256}).encode()
    job = site.call("POST", "/api/v1/jobs", order)["said"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while job.get("status") not in ("succeeded", "failed", "canceled") and time.monotonic() < deadline:
        job = site.call("GET", f"/api/v1/jobs/{job['id']}?wait=20")["said"]
    address = urllib.parse.urlsplit(job["artifacts"][0]["url"])
    fetched = site.call("GET", f"{address.path}?{address.query}")
    return {"status": job["status"], "host": address.netloc, "scheme": address.scheme, "fetched": fetched}


def stream(site: Site) -> dict[str, Any]:
    """The first words of a stream that stays open come at once, or somebody on the way keeps them."""
    link = site.connection()
    begun = time.monotonic()
    link.request("GET", "/api/v1/events", headers={**site.headers(), "Accept": "text/event-stream"})
    answer = link.getresponse()
    line = answer.readline().decode()
    found = {
        "status": answer.status,
        "first": line,
        "seconds": time.monotonic() - begun,
        "headers": dict(answer.headers),
    }
    site.call("POST", "/api/v1/jobs", json.dumps({"prompt": "another", "width": 64, "height": 64}).encode())
    begun = time.monotonic()
    while "job." not in line and time.monotonic() < begun + PATIENCE_SECONDS:
        line = answer.readline().decode()
    link.close()
    return {**found, "event": line, "event_seconds": time.monotonic() - begun}


def upload(site: Site) -> dict[str, Any]:
    """Larger than what proxies take without being told. It is no picture, which only the service itself can say."""
    boundary = "a-boundary"
    about = 'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png'
    head = f"--{boundary}\r\n{about}\r\n\r\n"
    body = head.encode() + bytes(UPLOAD_BYTES) + f"\r\n--{boundary}--\r\n".encode()
    return site.call("POST", "/api/v1/inputs", body, f"multipart/form-data; boundary={boundary}")


def unnoticed(site: Site, *command: str) -> dict[str, Any]:
    """What somebody meets who asks all the time, while this is done to one of two control planes."""
    before, statuses, over = main_pid(), [], threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                statuses.append(site.call("GET", "/readyz")["status"])
            except OSError as error:
                statuses.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        run(*command)
        until(lambda: main_pid() not in ("0", before) and state() == "active")
    finally:
        over.set()
        asking.join()
    return {"asked": len(statuses), "other": [status for status in statuses if status != 200]}


def watchdog() -> dict[str, Any]:
    """A process that hangs is ended and started anew. Its patience is shortened for the trial."""
    folder = Path("/run/systemd/system") / f"{UNIT}.service.d"
    folder.mkdir(parents=True)
    folder.joinpath("short.conf").write_text("[Service]\nWatchdogSec=6\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", UNIT)
    hung = main_pid()
    os.kill(int(hung), signal.SIGSTOP)
    until(lambda: main_pid() not in ("0", hung) and state() == "active")
    said = run("journalctl", f"--unit={UNIT}", "--output=cat", "--no-pager", "--lines=40")
    folder.joinpath("short.conf").unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", UNIT)
    return {"said": "Watchdog timeout" in said, "state": state()}


def main_pid() -> str:
    return run("systemctl", "show", "--property=MainPID", "--value", UNIT).strip()


def state() -> str:
    return run("systemctl", "show", "--property=ActiveState", "--value", UNIT).strip()


def until(fits: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not fits():
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE_SECONDS:g} s: {run('systemctl', 'status', '--no-pager', UNIT)}")
        time.sleep(BEAT_SECONDS)


def run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ended.returncode:
        sys.exit(f"{command}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
