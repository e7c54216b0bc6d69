"""`tessera-agent install-service`: the agent starts by itself and stays.

    unit   the systemd user unit, as a text
    logon  in WSL2: the Windows task that keeps the distribution alive, as XML, and as a line for PowerShell
    steps  what is done about them, in order; `--dry-run` only tells it

No root is needed: it is the owner's own unit, in the owner's own session.
"""
