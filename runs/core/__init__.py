"""The step engine, pure: values in, values out. No Django, no clock, no dice, no log.

Reads in this order: `graph` and `channels` say what an agent is, `checkpoint` what is
known of a run after a super-step, `plan` what to do next, `reconcile` what came of it;
`lifecycle` and `retry` hold the two tables that decide everything else. `recorded` is what is
worked out about runs afterwards.
"""
