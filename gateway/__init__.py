"""The gateway: one door to every language model. The mirror image of `tools`."""
