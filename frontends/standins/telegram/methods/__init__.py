"""What a bot can ask of the data centre, by the names of Telegram's schema. A name that is missing here is an error of
the stand-in, and loud."""

from __future__ import annotations

from frontends.standins.telegram.calls import Method
from frontends.standins.telegram.methods import account, editing, groups, menus, queries, sending, uploads

METHODS: dict[str, Method] = {
    **account.METHODS,
    **uploads.METHODS,
    **sending.METHODS,
    **editing.METHODS,
    **queries.METHODS,
    **menus.METHODS,
    **groups.METHODS,
}
BEFORE_LOGIN = {"help.GetConfig", "auth.ImportBotAuthorization"}
