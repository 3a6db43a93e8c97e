"""Policy: who may do what, at what cost, and the record of it.

The lowest app. It knows no tool, no model and no run; it judges plain values.
"""
