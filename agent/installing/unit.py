"""The systemd unit: the owner's own, or, on a machine that does nothing else, one of the system (`SYSTEM_UNIT`).

Its stop is two signals in a row, which to the agent means: give every lease back and go. Only the agent itself is
killed: a ComfyUI of its own ends with it in an orderly way, and outlives a crash of the agent for long enough that
the next one can go on with it. Hardening is what an ordinary user's systemd can enforce; with containers none of it,
because Podman's helpers must be allowed to gain rights.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.homes import lasting_python

NAME = "tessera-agent.service"
SYSTEM_UNIT = Path("/etc/systemd/system") / NAME
SYSTEM_USER = "tessera-agent"
SHIPPED = (Path(__file__).with_name(NAME), Path(__file__).parents[2] / "ops" / "systemd" / NAME)
"""The system's unit: in an agent that was handed out, and in a clone."""
WATCHDOG_SECONDS = 60
STOP_SECONDS = 20
HOPELESS = (5, 7, 64, 78)
"""Exit codes after which another start would end the same way."""

TEMPLATE = """\
# Written by `tessera-agent install-service`; `tessera-agent install-service --remove` takes it away.
[Unit]
Description=Tessera agent: this machine works for {url}
StartLimitIntervalSec=3600
StartLimitBurst=30

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecStop=/bin/kill -s TERM $MAINPID
{environment}WatchdogSec={watchdog_seconds}
TimeoutStartSec=infinity
TimeoutStopSec={stop_seconds}
KillMode=process
Restart=on-failure
RestartSec=15
RestartPreventExitStatus={hopeless}
OOMPolicy=continue
Nice=5
UMask=0077
LimitCORE=0
{hardening}
[Install]
WantedBy=default.target
"""

HARDENING = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
"""


def unit(url: str, state_folder: Path, config: Path | None, *, containers: bool) -> str:
    """`config`: the settings file that the agent shall read. Nothing secret stands in it."""
    command = (lasting_python(), "-P", "-m", "agent", "run", "--dir", str(state_folder))
    environment = "" if config is None else f"Environment={quoted(f'TESSERA_AGENT_CONFIG={config}')}\n"
    return TEMPLATE.format(
        url=url.replace("%", "%%"),
        command=" ".join(quoted(word) for word in command),
        environment=environment,
        watchdog_seconds=WATCHDOG_SECONDS,
        stop_seconds=STOP_SECONDS,
        hopeless=" ".join(map(str, HOPELESS)),
        hardening="" if containers else HARDENING,
    )


def system_unit() -> str:
    return next(path for path in SHIPPED if path.exists()).read_text(encoding="utf-8")


def is_of_system() -> bool:
    """Whether systemd itself runs the agent, as a user of its own, and we may tell it what to do."""
    return os.geteuid() == 0 and SYSTEM_UNIT.exists()


def systemctl(*words: str, system: bool | None = None) -> tuple[str, ...]:
    """The command that tells the systemd that runs the agent. `system`: which one, where the unit is not there yet."""
    return ("systemctl", *(() if (is_of_system() if system is None else system) else ("--user",)), *words)


def quoted(word: str) -> str:
    """One word of a unit file (systemd.service(5), quoting and specifiers)."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if any(letter.isspace() or letter in "\"'\\;" for letter in plain):
        return '"' + plain.replace('"', '\\"').replace("\n", "\\n") + '"'
    return plain
