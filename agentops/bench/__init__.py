"""The benchmark: steps per second, CPU per step and bytes per run, beside LangGraph.

    servers ─▶ peers (AgentOps in bursts, step by step, with effects; LangGraph) ─▶ rounds ─▶ report

Workload W1: R runs of S super-steps each. A super-step asks an instant fake model for one
message of 300 random characters and is committed durably before the run's next one starts.
W1e is the same with the model behind the gateway: one governed effect in each super-step.
"""
