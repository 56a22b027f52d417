"""Pytree specs: torch's JSON text (:func:`dumps`, :func:`loads`), and a lossless form for what that cannot hold
(:func:`describe_spec`, :func:`spec_of`). Neither reader imports or evaluates what a file names."""

from pytest_exportcheck.reference.pt2.treespec.described import describe_spec as describe_spec
from pytest_exportcheck.reference.pt2.treespec.described import spec_of as spec_of
from pytest_exportcheck.reference.pt2.treespec.foreign import describe_foreign as describe_foreign
from pytest_exportcheck.reference.pt2.treespec.text import dumps as dumps
from pytest_exportcheck.reference.pt2.treespec.text import loads as loads
