"""Pages in HTML: one file each, without a network. ``page`` renders and writes any page, ``graph`` draws a few nodes as
SVG; the rest is the page of a report.
"""
