"""Comparisons for the checks: pairing of nodes, comparison of tensors and symbolic sizes, rendering of differences, and
the ledger.
"""
