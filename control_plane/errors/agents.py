"""Told to agents about their leases and their uploads; no person reads these first."""

from __future__ import annotations

from control_plane.errors.root import TesseraError


class LeaseLost(TesseraError):
    """The lease is no longer yours.

    It expired, was taken over or ended, and nothing was changed. Stop the work and report nothing more about it.
    """

    slug, status = "lease-lost", 409


class ArtifactsMissing(TesseraError):
    """Not every file of this attempt has arrived.

    Upload what is missing, then complete again.
    """

    slug, status = "artifacts-missing", 409


class ArtifactMismatch(TesseraError):
    """The uploaded bytes are not what was announced.

    Length, SHA-256 or type differ. Upload the file again.
    """

    slug, status = "artifact-mismatch", 422


class Unmarked(TesseraError):
    """The file does not say that it was made by AI.

    Its XMP metadata must have IPTC's `DigitalSourceType`. Agents write it into every file; update the agent.
    """

    slug, status = "unmarked", 422


class VersionTooOld(TesseraError):
    """This agent speaks a protocol that is no longer served.

    Run `tessera-agent update` on that machine; the wheel comes from here and needs no newer protocol.
    """

    slug, status = "version-too-old", 426
