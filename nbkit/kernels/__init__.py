"""Kernels: one function each, whatever runs it. `reference` is short and obviously right and tests the others."""
