"""Tools: what an agent can do to the world. The mirror image of `gateway`."""
