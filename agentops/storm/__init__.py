"""Storm: random faults on real servers for a while, then quiet, then a checker.

plan       seed ──▶ timetable of faults (pure)
proxy      stands before PostgreSQL and Redis: swallows answers, delays, freezes, refuses
stage      servers, two nurseries, a sweeper, the outside; nothing of it is left behind
weather    carries a timetable out
recovery   how long runs of a killed worker stand still
driver     a child that starts runs and acts for people
facts      what the database and the outside say afterwards
check      facts ──▶ what was lost, what was doubled, which rule is broken (pure)
"""
