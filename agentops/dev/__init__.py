"""The product on one machine, for a developer: `make up`, `make demo`, `manage.py status`.

session   the order of work, from the first server to the last process
block     what is printed when it is ready, and printed again by `status`
record    what a running session leaves in its state folder for other commands
counts    how the runs stand, asked over the HTTP API
keys      k, o, l and q
checks    what `doctor` looks at
"""
