"""The harness that runs user code safely: setup, observation, gradients, snapshot, fingerprint, isolation, and every
private torch name that is used outside the reference engine (``_torch.py``).
"""
