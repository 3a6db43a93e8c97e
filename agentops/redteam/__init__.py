"""Play an obedient model: one that does whatever the text it reads tells it to.

suite    what is played: tools, the user's tasks, and what is injected
stage    the real engine and the real policy, over a store in memory, one play at a time
session  every task alone, and every task with every injection; what came of it
"""
