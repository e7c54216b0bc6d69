"""The Windows task that keeps a WSL2 distribution alive: from the owner's logon on, one program of it that Windows has
started sleeps.

The XML follows the schema of the Task Scheduler (MS-TSCH 2.5): version 1.2, a trigger for this one user, so that no
administrator is needed, and no time limit, which would be three days. `conhost.exe --headless` spares the owner a black
window that would end it all when closed.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
RESTARTS = 99
PROGRAM = "conhost.exe"
NAME_LENGTH_MAX = 120

SETTINGS = {
    "AllowStartOnDemand": "true",
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "false",
    "StopIfGoingOnBatteries": "false",
    "AllowHardTerminate": "true",
    "StartWhenAvailable": "true",
    "RunOnlyIfNetworkAvailable": "false",
    "Enabled": "true",
    "ExecutionTimeLimit": "PT0S",
}


def task_name(distribution: str) -> str:
    r"""Without what a name of a task cannot have (`\ / : * ? " < > |`)."""
    kept = "".join(letter for letter in distribution if letter.isprintable() and letter not in '\\/:*?"<>|')
    return f"Tessera agent ({kept[:NAME_LENGTH_MAX]})"


def arguments(distribution: str) -> str:
    name = f'"{distribution}"' if " " in distribution else distribution
    return f"--headless wsl.exe -d {name} --exec sleep infinity"


def xml(distribution: str, user: str) -> bytes:
    r"""The task as Windows reads it, UTF-16 with its mark. `user`: `MACHINE\name`, as whoami.exe says it."""
    ET.register_namespace("", NAMESPACE)
    task = ET.Element(_tag("Task"), version="1.2")
    about = _below(task, "RegistrationInfo")
    _below(about, "Author", "tessera-agent")
    _below(about, "Description", f"Keeps {distribution} (WSL2) alive, so that the Tessera agent in it goes on.")
    trigger = _below(_below(task, "Triggers"), "LogonTrigger")
    _below(trigger, "Enabled", "true")
    _below(trigger, "UserId", user)
    principal = _below(_below(task, "Principals"), "Principal", id="Owner")
    _below(principal, "UserId", user)
    _below(principal, "LogonType", "InteractiveToken")
    _below(principal, "RunLevel", "LeastPrivilege")
    settings = _below(task, "Settings")
    for name, value in SETTINGS.items():
        _below(settings, name, value)
    again = _below(settings, "RestartOnFailure")
    _below(again, "Interval", "PT1M")
    _below(again, "Count", str(RESTARTS))
    program = _below(_below(task, "Actions", Context="Owner"), "Exec")
    _below(program, "Command", PROGRAM)
    _below(program, "Arguments", arguments(distribution))
    ET.indent(task)
    text = '<?xml version="1.0" encoding="UTF-16"?>\n' + ET.tostring(task, encoding="unicode") + "\n"
    return text.encode("utf-16")


def powershell(distribution: str) -> str:
    """The same as one line to paste into PowerShell, for where Windows programs cannot be run from here."""
    return (
        f"Register-ScheduledTask -Force -TaskName {_literal(task_name(distribution))}"
        f" -Trigger (New-ScheduledTaskTrigger -AtLogOn -User $env:USERNAME)"
        f" -Action (New-ScheduledTaskAction -Execute {PROGRAM} -Argument {_literal(arguments(distribution))})"
        f" -Settings (New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -AllowStartIfOnBatteries"
        f" -DontStopIfGoingOnBatteries -RestartCount {RESTARTS} -RestartInterval (New-TimeSpan -Minutes 1))"
        f" | Start-ScheduledTask"
    )


def powershell_removal(distribution: str) -> str:
    return f"Unregister-ScheduledTask -Confirm:$false -TaskName {_literal(task_name(distribution))}"


def _literal(text: str) -> str:
    """A text of PowerShell in which nothing is looked for."""
    return "'" + text.replace("'", "''") + "'"


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _below(parent: ET.Element, name: str, text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, _tag(name), attributes)
    child.text = text
    return child
