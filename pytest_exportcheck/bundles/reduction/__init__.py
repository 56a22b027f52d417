"""The reduction of a bundle: its program shrinks while the finding remains, and is printed as a plain torch script.

``steps`` has the order of the search, ``search`` tries and verifies candidates, ``draft`` makes valid programs of cut
graphs; ``cuts``, ``simplify``, ``resized`` and ``values`` are the steps. ``spelling`` and ``script`` write the source.
"""
