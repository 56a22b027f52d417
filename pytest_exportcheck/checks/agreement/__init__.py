"""The agreement of two engines that captured one case: their differences, each with the likely culprit.

A culprit is named only where a fact names it: one of the two differs from eager, or from what the case declares. Else
the finding says ``undecided``, with the facts of both sides.
"""

from pytest_exportcheck.checks.agreement.disagreements import disagreements, shared_faults
from pytest_exportcheck.checks.agreement.sides import Pair, Side, SizedPair

__all__ = ["Pair", "Side", "SizedPair", "disagreements", "shared_faults"]
