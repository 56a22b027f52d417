"""Bundles: folders that reproduce one finding without the user's repository, written and read.

``write`` makes a folder of a failure, ``read`` gives it back; ``script`` writes the part that needs torch only. Replays
are made by ``run``, which has the checks.
"""
