"""What a person does on a bare Debian, in order; runs in there as root, with the standard library only.

    python3 scenario.py SOURCE PORT

There is no systemd in a bare root, so a unit is started here the way systemd would: its user, its environment, its
credentials in a folder that only this user may read, its command, and a socket for the word that it is ready. Prints
what was found as one line of JSON.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNIT = Path("/etc/systemd/system/tessera@.service")
READY_SECONDS = 60.0
STOP_SECONDS = 30.0


def main(source: str, port: str) -> None:
    found: dict[str, object] = {}
    install = ["sh", f"{source}/ops/install.sh", "--port", port]
    found["first"] = first = run(*install)
    if first["code"]:
        sys.exit(f"{first['out']}{first['err']}")
    found["again"] = run(*install)
    plane, link = start(port)
    try:
        found["ready"] = heard(link, "READY=1")
        found["status"] = run("tessera", "status", "--json")
        found["status_seen"] = run("tessera", "status")
        found["user"] = run("tessera", "user", "create", "ada", "--plan", "free", "--json")
        found["process"] = {
            "user": pwd.getpwuid(Path(f"/proc/{plane.pid}").stat().st_uid).pw_name,
            "arguments": Path(f"/proc/{plane.pid}/cmdline").read_text(),
        }
    finally:
        asked = time.monotonic()
        plane.send_signal(signal.SIGTERM)
        found["stopped"] = {"code": plane.wait(STOP_SECONDS), "seconds": time.monotonic() - asked}
    secrets = list(Path("/etc/tessera/credentials").iterdir())
    found["modes"] = {str(path): oct(path.stat().st_mode & 0o777) for path in secrets}
    found["passwords"] = [path.read_text().split(":")[2].split("@")[0] for path in secrets]
    found["removed"] = run(*install[:2], "--uninstall")
    found["kept"] = [
        str(path) for path in map(Path, ("/etc/tessera/tessera.toml", "/var/lib/tessera")) if path.exists()
    ]
    found["left"] = [
        str(path) for path in (Path("/opt/tessera"), UNIT, Path("/usr/local/bin/tessera")) if path.exists()
    ]
    found["back"] = run(*install)
    found["users"] = run("tessera", "user", "list", "--json")
    found["purged"] = run(*install[:2], "--uninstall", "--purge")
    found["after"] = there("/etc/tessera", "/var/lib/tessera", "/opt/tessera")
    found["databases"] = run("runuser", "-u", "postgres", "--", "psql", "-Atc", "select datname from pg_database")
    print(json.dumps(found))


def there(*paths: str) -> list[str]:
    return [path for path in paths if Path(path).exists()]


def run(*command: str) -> dict[str, object]:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)
    return {"code": ended.returncode, "out": ended.stdout, "err": ended.stderr}


def start(instance: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    said = [line.partition("=")[::2] for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)]
    user = pwd.getpwnam(next(value for key, value in said if key == "User"))
    credentials = Path("/run/credentials") / f"tessera@{instance}"
    credentials.mkdir(parents=True, mode=0o755)
    for key, value in said:
        if key == "LoadCredential":
            name, _, path = value.partition(":")
            (credentials / name).write_bytes(Path(path).read_bytes())
            os.chown(credentials / name, user.pw_uid, user.pw_gid)
            (credentials / name).chmod(0o400)
    os.chown(credentials, user.pw_uid, user.pw_gid)
    credentials.chmod(0o500)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    link.bind("/run/notify")
    os.chown("/run/notify", user.pw_uid, user.pw_gid)
    environ = {"NOTIFY_SOCKET": "/run/notify", "PATH": "/usr/bin:/bin", "HOME": user.pw_dir, "LANG": "C.UTF-8"}
    for key, value in said:
        if key == "Environment":
            name, _, text = value.partition("=")
            environ[name] = text.replace("%d", str(credentials))
    command = next(value for key, value in said if key == "ExecStart").replace("%i", instance).split()
    with Path("/var/log/tessera.log").open("wb") as log:
        plane = subprocess.Popen(
            command, env=environ, user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/", stdout=log, stderr=log,
            umask=0o077,
        )  # fmt: skip
    return plane, link


def heard(link: socket.socket, word: str) -> bool:
    link.settimeout(READY_SECONDS)
    try:
        while word not in link.recv(4096).decode().splitlines():
            pass
    except TimeoutError:
        print(Path("/var/log/tessera.log").read_text(), file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
