"""Who is measured. A peer has a database of its own on the one PostgreSQL.

prepare(runs, steps)   everything before the clock
go()                   plays them; gives seconds and super-steps
"""
