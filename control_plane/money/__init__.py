"""What people have and what they are given: `plans` with their limits, the `ledger` of tokens, `rates` of asking.

The books themselves are kept by triggers on `jobs` (`0002_ledger.sql`), whichever statement moves a job. Here is
what people and operators see of them and may change.
"""
