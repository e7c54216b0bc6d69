"""What may not be ordered, shown or used, and by whom.

Before an order: `judgement` reads it by the operator's `policy`, with texts compared as `folding` leaves them.
After it: `reports` are what people complain about, `quarantine` takes a file out of sight, `suspension` an account
out of service.
"""
