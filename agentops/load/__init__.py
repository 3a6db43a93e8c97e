"""The load: one tenant submits thousands of runs, another one now and then; who waits for whom?

load ──▶ stage (web, two workers, a sweeper, servers of its own)
  │  ──▶ crowd: fills the first tenant's line in batches, then goes on over HTTP
  │  ──▶ other: submits one run every few seconds over HTTP
  └──▶ gauge: how many messages the broker holds, how much memory, how many runs stand in line
"""
