"""Told to people about themselves: their credentials, their accounts, and how they came."""

from __future__ import annotations

from control_plane.errors.root import TesseraError


class Unauthorized(TesseraError):
    """Credentials are missing, unknown, expired or revoked.

    Send `Authorization: Bearer …` with a live key. All four cases look the same on purpose.
    """

    slug, status = "unauthorized", 401


class Forbidden(TesseraError):
    """This credential may not do that.

    The key lacks the scope, or the network or the provider it is bound to does not fit.
    """

    slug, status = "forbidden", 403


class Suspended(TesseraError):
    """The account is suspended.

    Ask the operator.
    """

    slug, status = "account-suspended", 403


class Merged(TesseraError):
    """The account has become part of another one.

    Its identities and keys speak for that account now. Try again.
    """

    slug, status = "merged", 409


class LastIdentity(TesseraError):
    """This is the last identity of the account.

    Without it nobody could reach the account. Link another one first.
    """

    slug, status = "last-identity", 409


class TooManyTries(TesseraError):
    """Too many codes have been tried.

    Wait for as long as `Retry-After` says.
    """

    slug, status = "too-many-tries", 429


class SignInFailed(TesseraError):
    """Signing in has failed.

    It was begun in another browser, took longer than ten minutes, or the provider did not say who you are. Begin anew.
    """

    slug, status = "sign-in-failed", 403


class SignInCanceled(TesseraError):
    """Signing in was canceled at the provider.

    Nothing has happened. Begin anew, or sign in another way.
    """

    slug, status = "sign-in-canceled", 403


class SignupClosed(TesseraError):
    """Nobody new is taken in.

    The operator has closed the sign-up. Whoever has an account can link this identity to it.
    """

    slug, status = "signup-closed", 403


class InviteNeeded(TesseraError):
    """New people need an invite.

    Ask the operator for a code and enter it: on the page for signing in, or by a bot (`POST /api/v1/user/invite`).
    Whoever has an account can link this identity to it.
    """

    slug, status = "invite-needed", 403


class SignupLimit(TesseraError):
    """Enough new people have come today.

    So many sign up by one provider in a day, and no more. Try again after midnight UTC.
    """

    slug, status = "signup-limit", 429


class Unlinked(TesseraError):
    """This identity was taken from its account a short while ago.

    Link it to an account again, or wait: after thirty days it may open one of its own.
    """

    slug, status = "unlinked", 403


class KeysMax(TesseraError):
    """You have as many keys as anybody may have.

    End one that is not needed any more.
    """

    slug, status = "keys-max", 409
