"""What performance claims are measured with. Each module runs by ``python -m benchmarks.NAME`` and prints ratios of
one run; machines are shared, so absolute times mean little."""
