"""Who somebody is, and what their credential may do.

`users` have identities, come by `signup` and `invites`, and are one person after `linking`; both kinds of codes are
made by `codes`. `credentials` says for whom a request speaks, `keys` is what people do with theirs, within `caps`
and for web sites among `origins`. Test keys speak for `twins`.
"""
