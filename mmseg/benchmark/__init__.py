"""Measure how fast this project is, alone or against another in the same run: tools/benchmark.py.

Each side runs in a process of its own (`workers/`): memory peaks are its own, and the sides take
turns, so that what slows the machine down slows all of them.
"""
