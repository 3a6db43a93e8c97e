"""Pages for people: the approval queue, decisions, runs, budgets."""
