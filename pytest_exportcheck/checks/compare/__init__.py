"""Comparing, for the checks: nodes are paired, tensors and symbolic sizes compared, differences rendered and counted in the ledger."""
