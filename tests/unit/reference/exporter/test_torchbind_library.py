"""Programs with the script objects that torch tests with, where the wheel has their library."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pytest_exportcheck import reference
from pytest_exportcheck.harness.isolation import quiet

LIBRARY = Path(torch.__file__).parent / "lib" / "libtorchbind_test.so"
pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="this wheel of torch has no libtorchbind_test.so")
X = torch.ones(3)


@pytest.fixture(scope="module", autouse=True)
def classes():
    from torch.testing._internal import torchbind_impls

    torch.ops.load_library(LIBRARY)
    with quiet():
        torchbind_impls.register_fake_operators()
        torchbind_impls.register_fake_classes()


class Calls(torch.nn.Module):
    def __init__(self, function, held):
        super().__init__()
        self.function, self.held = function, held

    def forward(self, x):
        return self.function(self.held, x)


def queued(queue, x):
    torch.ops._TorchScriptTesting.queue_push(queue, x.cos())
    queue.push(x.sin())
    return torch.ops._TorchScriptTesting.queue_pop(queue) + queue.pop() + queue.size()


def taken(foo, x):
    first, second = torch.ops._TorchScriptTesting.takes_foo_tuple_return(foo, x)
    return first + second + foo.add_tensor(x) + torch.ops._TorchScriptTesting.takes_foo(foo, x)


MODELS = {
    "a class of numbers": lambda: Calls(taken, torch.classes._TorchScriptTesting._Foo(10, 20)),
    "a queue": lambda: Calls(queued, torch.classes._TorchScriptTesting._TensorQueue(torch.empty(0).fill_(-1))),
    "a tensor": lambda: Calls(lambda held, x: held.get() + x, torch.classes._TorchScriptTesting._ContainsTensor(X * 2)),
}


@pytest.mark.parametrize("strict", [False, True], ids=["nonstrict", "strict"])
@pytest.mark.parametrize("name", MODELS)
def test_a_program_does_what_the_model_does(name, strict):
    with quiet():
        program = reference.export(MODELS[name](), (X,), strict=strict)
        lowered = reference.decompose(reference.export(MODELS[name](), (X,), strict=strict))
    expected = MODELS[name]()(X)
    assert torch.equal(program.module()(X), expected)
    assert torch.equal(lowered.module()(X), expected)
