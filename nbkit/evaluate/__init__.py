"""Measures of what models make, and the baselines to hold them against."""
