"""Signing in with a browser: through Google, Discord or Telegram, as somebody new or to add an identity.

An `attempt` remembers a browser that goes to a provider; `oauth` speaks with Google and Discord, `telegram` judges what
Telegram has signed; an `arrival` makes an identity that was proved into a session. Who somebody is stands in `people`.
"""
