"""The agent that this control plane hands out, and the words that bring it onto a machine.

The package stands on no public index, and an agent must understand its control plane. So every control plane packs the
agent from the very code that it runs itself: what it serves always fits.

    wheel    the agent and the wire as a wheel, with a version that tells what is in it
    handout  the files of `/install`: that wheel, its requirements, the installer
    line     the one line that makes a machine a worker
"""
