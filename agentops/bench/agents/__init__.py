"""The folder of agents that the benchmark's workers load (AGENTOPS_AGENTS)."""
