"""The weights and constants of a program as records, each storage once (``store``), and back as the same tensors
(``restore``).

Nothing is imported here: readers without torch use the configuration of payloads.
"""
