"""Stand-ins of Telegram and Discord: servers on loopback that the genuine client libraries take for the platforms.

Bots are tested against them and anybody may chat with bots through them without an account (`page`). Bots connect as
they would to the platforms; people are driven by the same words on both (`person.Person`):

    async with Telegram() as telegram:
        bot = telegram.bot("tessera_bot")                     # Discord: discord.bot("Tessera")
        client = pyrogram.Client("x", api_id=1, api_hash="h", bot_token=bot.token, in_memory=True,
                                 connection_factory=telegram.connection_factory)
        # hikari: GatewayBot(bot.token, rest_url=discord.rest_url, ...); await start(check_for_updates=False)
        ann = telegram.person(42, "Ann", "de")
        await ann.says("/generate a cat, 2 pictures", to=bot)      # a command on Discord when it is registered there
        status = await ann.sees("a cat")                           # newest message of a bot; text or a predicate
        await ann.sees(lambda m: m.media and m.media[0].width == 512, by=bot, within=10)
        answer = await ann.presses(status.button("Cancel"))        # .text is the toast or the private answer
        await ann.answers(answer.form or status, "a dog")          # a modal, or a reply that was asked for
        await ann.sends_photo(png, "/generate like this", to=bot)  # also a reply: reply_to=message
        friends = telegram.group("Friends", bots=[bot], people=[ann], admins=[ann])
        await ann.says("/generate@tessera_bot a cat", to=bot, where=friends)
        assert telegram.violations == []                           # nothing was sent faster or larger than allowed

In tests the fixtures `telegram` and `discord` (tests/fixtures/chats.py) are both. `demo.demo_chats` makes everything
for a demonstration, with the page.

A message is live: it shows itself as it stands after edits (`text`, `buttons`, `media` with bytes, `deleted`), and what
it said before (`edits`). Nothing sleeps: whoever waits is woken by the change. Both have `blocks` and `unblocks`, too.
Only on Telegram: `starts`, `pays`, `reacts`. Only on Discord: `uses` (a command on a message), `calls` (a command by
its options), `completes` (suggestions for an option), `installs`.

What goes wrong is wished for by name. `platform.faults` takes `refuse`, `lose` (done, not answered), `delay`, `cut`
(connection broken before or after it was done) and `hold` (stands still in the middle of a step until told); a call is
named "messages.SendMessage" or "PATCH /webhooks", each wish tells how often it came true (`hits`). `drops(bot)` breaks
connections, `revokes(bot)` the token; `clock.advance(seconds)` ages tokens and messages, after `clock.stop()` nothing
else does. Telegram also has `adds(bot, group, by)`; Discord has `asks_to_reconnect`, `invalidates(bot, resumable=)`,
`stops_beating`, `unanswered` and `group.forbids`, and lets a bot start once in five seconds: advance the clock between
restarts. Leaving the `async with` raises when the stand-in met something that it does not know.

Of the libraries: kurigram repeats a call whose connection broke after 15 s (the stand-in refuses what it did before);
hikari waits on one bucket for all channels or tokens of a route whose first answer it has not seen yet.
"""
