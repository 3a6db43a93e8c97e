"""Play: the outside world against which the product is proved.

    workload   a file of tasks, read and checked
    records    effects on a task's records, canonical JSON, digests
    books      what the tool server remembers: calls, effects, records (SQLite)
    tool_server, model_server    two processes of their own, outside the product
    judge      end records and ledger against what the file says
    session    one play: servers, runs over the HTTP API, decisions, verdict

Nothing in here is imported by the product, and nothing but `prepare` uses the product's code:
the rest speaks to it over HTTP, as a customer would.
"""
