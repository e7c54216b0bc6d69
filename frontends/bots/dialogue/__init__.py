"""The dialogue: everything that a bot decides, on every platform, without a network and without a clock.

    state, effects = step(state, event, house)

A conversation is one person in one chat with one bot. Events tell what happened (`events.py`), effects what is to be
done (`effects.py`), cards what a person sees (`screen.py`); all of them, and the state, are plain data that can be
written down. An effect with a key is acknowledged by an event with that key and stays in the state until it is. Whoever
runs a conversation saves the state first and carries the effects out then, and after a crash the event `Resumed` asks
once more for everything that was not acknowledged. Orders carry idempotency keys made of the id of the event that
caused them, messages carry keys that platforms know duplicates by, so doing something again changes nothing.

Buttons carry ids and no state (`payload.py`): what a press needs is found again through the API, after a restart and
after months. Sentences come from the catalogue (`frontends.bots.language`) by key; no other text is said.
"""
