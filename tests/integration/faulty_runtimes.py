"""The module of runtimes with one fault each, as a repository would have it."""

from __future__ import annotations

RUNTIME = '''
import os
import time

import torch
from torch.utils import _pytree

from pytest_exportcheck import Unsupported


class Saved:
    """A runtime whose package is the program itself, with a fault."""

    name, needs, extra = "saved", (), ""

    def compile(self, program, folder):
        torch.export.save(program, folder / "program.pt2")
        return {}

    def load(self, folder):
        def program():
            return torch.export.load(folder / "program.pt2")

        return self.faulty(program)

    def faulty(self, program):
        return flat(program())


def flat(program):
    module = program.module()

    def call(inputs):
        args, kwargs = _pytree.tree_unflatten(list(inputs), program.call_spec.in_spec)
        return _pytree.tree_leaves(module(*args, **kwargs))

    return call


class WrongWeight(Saved):
    name = "wrong_weight"

    def faulty(self, program):
        changed = program()
        changed.state_dict["linear.weight"].data[0, 0] += 0.01
        return flat(changed)


class Swapped(Saved):
    name = "swapped"

    def faulty(self, program):
        call = flat(program())
        return lambda inputs: call(inputs)[::-1]


class Dropped(Saved):
    name = "dropped"

    def faulty(self, program):
        call = flat(program())
        return lambda inputs: call(inputs)[:1]


class Lower(Saved):
    name = "lower"

    def faulty(self, program):
        call = flat(program())
        return lambda inputs: [each.bfloat16().float() for each in call(inputs)]


class Restores(Saved):
    """Its compiler runs the program, and puts its state back."""

    name = "restores"

    def compile(self, program, folder):
        kept = {name: value.clone() for name, value in program.state_dict.items()}
        for name, value in program.state_dict.items():
            value.data.add_(1)
            value.data.copy_(kept[name])
        for value in program.buffers():
            value.add_(1).sub_(1)
        return super().compile(program, folder)


class Edits(Saved):
    name = "edits"

    def compile(self, program, folder):
        for value in program.buffers():
            value.add_(1)
        return super().compile(program, folder)


class Stale(Saved):
    name = "stale"

    def faulty(self, program):
        return lambda inputs: flat(program())(inputs)


class Reread(Saved):
    """Strides are ignored: the bytes of an input are read as if it were contiguous."""

    name = "reread"

    def faulty(self, program):
        call = flat(program())

        def misread(each):
            if not each.is_contiguous() and 0 not in each.stride():
                return each.as_strided(each.shape, torch.empty(each.shape).stride())
            return each

        return lambda inputs: call([misread(each) for each in inputs])


class Specialised(Saved):
    name = "specialised"

    def faulty(self, program):
        call = flat(program())

        def at_most_four(inputs):
            if inputs[0].shape[0] > 4:
                raise ValueError("batch is at most 4")
            return call(inputs)

        return at_most_four


class Prints(Saved):
    name = "prints"

    def faulty(self, program):
        call = flat(program())

        def printing(inputs):
            os.write(1, b"{}" * 1000)
            return call(inputs)

        return printing


class Crashes(Saved):
    name = "crashes"

    def faulty(self, program):
        return lambda inputs: os.abort()


class Ends(Saved):
    name = "ends"

    def load(self, folder):
        os._exit(7)


class Fails(Saved):
    name = "fails"

    def compile(self, program, folder):
        raise RuntimeError("the compiler ended with exit status 1")


class NoKernel(Saved):
    """The package can be loaded, and the first call finds that there is no kernel."""

    name = "no_kernel"

    def faulty(self, program):
        def refusing(inputs):
            os.write(2, b"no kernel for sort")
            raise Unsupported("error 0x14")

        return refusing


class NotLoaded(Saved):
    name = "not_loaded"

    def load(self, folder):
        raise Unsupported("no such dtype")


class Lacks(Saved):
    name, needs, extra = "lacks", ("no-such-distribution",), ""
'''
