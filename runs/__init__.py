"""Runs: durable execution of agents, super-step by super-step."""
