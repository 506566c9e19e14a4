"""Results: the figures, tables and pages that are made from maps and finished runs."""
