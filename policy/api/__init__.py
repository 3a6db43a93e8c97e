"""The HTTP face of policy: who calls, what they sent, and what was answered before."""
