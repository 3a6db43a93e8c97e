"""Gates: when a call may go out, apart from whether it may.

    permit ──▶ breaker of the dependency closed? ──▶ every limit has room? ──▶ send
                 │ open                                │ scarce
                 └────────▶ the run waits, holding nothing ◀┘

Rate limits and breakers are shared by all processes through Redis. A Redis that is away
stops nothing: each process counts for itself until it is back.
"""
