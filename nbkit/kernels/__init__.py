"""Kernels: one function each, whatever runs it. `reference` is short and obviously right, the others are tested by it."""
