"""A page where anybody can chat with the bots of both stand-ins in a browser, without an account anywhere.

    async with Telegram() as telegram, Discord() as discord, serve({"telegram": telegram, "discord": discord}) as url:
        ...

It is served on loopback alone, to browsers that call it by a loopback name, and asks nothing of any other host.
"""

from __future__ import annotations

from frontends.standins.page.page import serve

__all__ = ["serve"]
