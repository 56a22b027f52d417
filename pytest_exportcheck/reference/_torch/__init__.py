"""The private and experimental torch names that the reference engine uses, under public names.

Other files of the reference engine name none; ``tests/unit/test_private_torch_names.py`` holds that. Each name says why
it is needed, and in parentheses the torch version since which it has been checked. Independence: nothing of
``torch._export`` but its verifiers, and nothing of ``torch.export._trace``, ``torch.export._unlift`` and
``torch.export.pt2_archive``.

The topics are modules because they differ in what they load: ``values`` loads torch only, ``sizes`` loads sympy too,
and ``tracing`` and ``dynamo`` load Dynamo too, which a reader of files does without.
"""
