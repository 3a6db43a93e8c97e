"""Scripts of the other engines' environment (requirements-bench.txt); none knows of AgentOps."""
