"""Orders of test keys: real jobs with real states, run by the control plane itself, that cost nothing and reach no
agent.

The `runner` claims them by the queue's own statements and gives each a `rehearsal`, for which `drawing` makes test
cards. `simulate` is what such an order can ask to have happen to it.
"""
