"""Rules over calls: what selects one, what is decided of it and why, and who is asked."""
