"""The reference exporter: how a module becomes a program, how programs are lowered, and what cannot be captured and
why.
"""
