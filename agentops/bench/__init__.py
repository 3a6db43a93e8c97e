"""The benchmark: what durable super-steps cost, beside LangGraph, DBOS and Restate.

    servers ─▶ peers (AgentOps; scripts of another environment) ─▶ workloads ─▶ report
                                                                   │
                     steps (W1, W1e), growth, resume, latency ◀────┘

A peer plays R runs of S super-steps. A super-step asks an instant fake model for one message of
300 random characters and is committed durably before the run's next one starts. W1e is the same
with the model behind the gateway: one governed effect in each super-step.
"""
