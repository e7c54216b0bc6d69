"""`tessera-bots`: any number of Telegram and Discord bots in one process, customers of the public API."""
