"""Checkpoint files: read without running them, whoever wrote them, and loaded completely."""
