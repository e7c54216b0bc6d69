"""Care for what people leave with us: how long details are kept, what one may take along, and how one leaves.

`retention` takes what is older than a plan keeps it, `export` hands a person all that is known of them, `departures`
erases somebody who leaves. What may be touched is law of `0021_care.sql`, not of this code.
"""
