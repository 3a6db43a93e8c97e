"""What the processes of a release ask of a database and of messages, and whether they are answered.

    record    what was there when a release was cut: values, and a file of them
    reading   the same of a database and of the code that is
    compare   what of it the code that is does not answer any more (pure)

A deploy migrates first and replaces the processes afterwards, one by one: in between, those of the
release before work on the new schema, and messages go both ways.
"""
