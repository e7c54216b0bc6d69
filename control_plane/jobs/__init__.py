"""The use cases of a customer, on top of everything that has a part in them.

At the `desk` an order is placed, looked at and canceled, in `batches` many at a time. `views` is how a job is told,
`listing` how many are, `streams` how they go on. The HTTP API says nothing about jobs that it does not have from
here.
"""
