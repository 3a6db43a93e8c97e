"""What commands share that prove the product on real servers: a stage, an outside, a cast of runs.

Stage ──asks──▶ driver (a child: starts runs, plays the person, reads ends)
  │                │
  ├── workers, sweeper ──tools──▶ outside (a ledger of its own)
  └── compare(end, twin), check(end, outside)
"""
