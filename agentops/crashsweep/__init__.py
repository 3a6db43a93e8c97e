"""Crash sweep: a SIGKILL at every hit of every named fault point, one after the other.

play, count the hits ─▶ for each hit: play again, be killed there, recover, compare
"""
