"""Pure values and decisions: requests, rules, verdicts, money, outcomes. No Django, no clock."""
