"""Pure values of tools: what a tool is. No Django, no clock."""
