"""The parts of ``repro.py`` that need torch only, as text: a script of a bundle imports nothing of this package. Words
between ``@`` are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Packages that only declare the tests are replaced: the module needs none of them.
STANDINS = '''
class Inert(types.ModuleType):
    """Replaces a package that only declares tests: decorators return what they decorate."""

    __path__: list = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Inert(name)

    def __call__(self, *args, **kwargs):
        decorates = len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], Inert)
        return args[0] if decorates else self


class Finder:
    """Finds the packages that are replaced, and their submodules."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REPLACED:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Inert(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Finder())
sys.path.insert(0, str(HERE / "source"))
'''

FACTORY = '''
def named(text):
    module, _, name = text.partition(":")
    return operator.attrgetter(name)(importlib.import_module(module))


def build():
    """Build the module by its factory, and give it the recorded state."""
    torch.manual_seed(SEED)
    made = named(FACTORY)()
    module = made[0] if isinstance(made, tuple) else made
    for name, value in torch.load(HERE / "state.pt", weights_only=True).items():
        path, *keys = re.findall(r"[^\\[\\]]+", name)
        tensor = operator.attrgetter(path)(module)
        for key in keys:
            tensor = tensor[ast.literal_eval(key)]
        if not torch.equal(tensor, value):
            with torch.no_grad():
                tensor.copy_(value)
    return module.train(TRAIN) if TRAIN in (True, False) else module
'''

PICKLED = '''
def build():
    """Load the pickled module; its classes come from source or from installed packages."""
    return torch.load(HERE / "module.pt", weights_only=False)
'''

LOADED = '''
def build():
    """Load the program that the stage was given."""
    return torch.export.load(HERE / "program.pt2")
'''

#: The text of each stage of torch, from what ``made`` is to what it becomes.
STAGES: Mapping[str, str] = {
    "decompose": "made.run_decompositions()",
    "serdes": "saved_and_loaded(made)",
    "retrace": "capture(made.module())",
    "unflatten": "torch.export.unflatten(made)",
}

SAVED_AND_LOADED = """
def saved_and_loaded(program):
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file)
"""

CAPTURE = """
def capture(module):
    args, kwargs = arguments(CALLS["example"][0])
    with CONTEXT():
        return @call@
"""

CALLS = '''
CALLS = torch.load(HERE / "inputs.pt", weights_only=@plain@)


def arguments(call):
    """Return a copy of the arguments of a call."""
    if "spec" in call:
        return pytree.tree_unflatten(copy.deepcopy(call["leaves"]), pytree.treespec_loads(call["spec"]))
    return copy.deepcopy((call["args"], call["kwargs"]))


def runnable(made):
    return made.module() if isinstance(made, torch.export.ExportedProgram) else made
'''

OBSERVED = '''
def places(name, tree):
    return {name + pytree.keystr(path): leaf for path, leaf in pytree.tree_flatten_with_path(tree)[0]}


def state(module):
    """Return copies of the tensors that the module holds."""
    found = {}
    for prefix, owner in module.named_modules():
        held = {**vars(owner), **owner._parameters, **owner._buffers}
        for name, value in held.items():
            if isinstance(value, torch.Tensor):
                found[f"{prefix}.{name}".strip(".")] = value.detach().clone()
    return found


def observed(module, calls):
    """Call a module with each of the calls in turn, and return what the last one did."""
    before = state(module)
    for number, call in enumerate(calls):
        args, kwargs = arguments(call)
        given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        torch.manual_seed(SEED + number)
        with CONTEXT(), torch.no_grad() if NO_GRAD else contextlib.nullcontext():
            output = module(*args, **kwargs)
    outputs = places("output", output)
    if CHECK == "gradients":
        return gradients(module, outputs, given)
    if CHECK == "aliasing":
        return shared(outputs, {**places("args", args), **places("kwargs", kwargs), **vars_of(module)})
    if CHECK == "outputs":
        return outputs
    after = state(module)
    found = {f"state {name}": value for name, value in after.items() if not same(before.get(name), value)}
    found |= {f"input {place}": leaf for place, leaf in (places("args", args) | places("kwargs", kwargs)).items()}
    return found | {"random generator": torch.random.get_rng_state()}


def gradients(module, outputs, given):
    """Return the gradients of a weighted sum of the outputs."""
    total = 0
    for leaf in outputs.values():
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad:
            weights = torch.linspace(0.5, 1.5, leaf.numel(), dtype=torch.float64).reshape(leaf.shape)
            total = total + (leaf * weights.to(leaf.device, leaf.real.dtype)).abs().sum()
    if isinstance(total, int):
        return {}
    total.backward()
    found = {name: each.grad for name, each in module.named_parameters()}
    return found | {f"input {number}": each.grad for number, each in enumerate(given) if each.is_leaf}


def vars_of(module):
    return dict([*module.named_parameters(), *module.named_buffers()])


def shared(outputs, others):
    """Return the pairs of an output and another place that share storage."""
    tensors = {place: each for place, each in (others | outputs).items() if isinstance(each, torch.Tensor)}
    storage = {place: each.untyped_storage().data_ptr() for place, each in tensors.items()}
    pairs = [
        (one, other)
        for one in outputs
        for other in storage
        if one != other and one in storage and storage[one] == storage[other]
    ]
    return {f"{one} shares storage with {other}": True for one, other in pairs}


def same(one, other):
    """Return True if two values are alike, as closely as the contract of the stage says."""
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return type(one) is type(other) and (one == other or (one != one and other != other))
    if (one.shape, one.dtype, one.layout) != (other.shape, other.dtype, other.layout):
        return False
    if LEVEL == "structure":
        return True
    one, other = one.detach(), other.detach()
    if STRIDES and one.layout == torch.strided and one.stride() != other.stride():
        return False
    if LEVEL == "bits" or not one.is_floating_point():
        return torch.equal(torch.nan_to_num(one), torch.nan_to_num(other)) and torch.equal(
            one.isnan(), other.isnan()
        ) and torch.equal(torch.signbit(one), torch.signbit(other))
    rtol, atol = CLOSE.get(str(one.dtype), CLOSE["torch.float32"])
    scale = float(one.abs().nan_to_num().max()) if one.numel() else 0.0
    return torch.allclose(other, one, rtol=0, atol=atol + rtol * scale, equal_nan=True)
'''

VALUES = """
def main():
    torch.set_num_threads(THREADS)
    calls = CALLS["calls"][: @last@ + 1]
    expected = observed(@before@, calls)
    try:
        got = observed(runnable(@after@), calls)
    except Exception as error:
        print(f"expected: it runs\\ngot:      {type(error).__name__}: {error}")
        return 1
    places = [place for place in {**expected, **got} if not same(expected.get(place), got.get(place))]
    for place in places[:5] or list(expected)[:5]:
        print(f"{place}\\n  expected: {expected.get(place)}\\n  got:      {got.get(place)}")
    print(f"{len(places)} places differ: it still fails" if places else "no place differs: it does not fail any more")
    return 1 if places else 0
"""

RAISES = """
def main():
    torch.set_num_threads(THREADS)
    print("expected: @expected@")
    try:
        @act@
    except Exception as error:
        print(f"got:      {type(error).__name__}: {error}")
        print(f"recorded: {RECORDED}")
        return 1
    print("got:      no error: it does not fail any more")
    return 0
"""

REFUSES = """
def main():
    torch.set_num_threads(THREADS)
    run = runnable(@after@)
    args, kwargs = arguments(CALLS["calls"][0])
    print("expected: sizes that are not declared are refused")
    try:
        with CONTEXT():
            run(*args, **kwargs)
    except Exception as error:
        print(f"got:      refused ({type(error).__name__}: {error}): it does not fail any more")
        return 0
    print("got:      accepted: it still fails")
    return 1
"""

FIELD = """
def main():
    torch.set_num_threads(THREADS)
    got = field_text(@after@, CHECK, KEY, PLACE)
    print(f"{CHECK}: {PLACE}\\nexpected: @before@")
    print(f"got:      {got}")
    print("it still fails" if @same@ else f"it does not fail as recorded any more; recorded was: {RECORDED}")
    return 1 if @same@ else 0
"""

END = """

if __name__ == "__main__":
    sys.exit(main())
"""

#: The script of a bundle that only the plugin can run again.
BY_PLUGIN = """
from pytest_exportcheck.cli import main

# exportcheck replay: 0 is fixed, 1 still fails, 2 fails differently, 3 cannot be replayed
sys.exit(min(main(["replay", *sys.argv[1:], str(HERE)]), 1))
"""

#: The script of a bundle that cannot be run again.
LOOKED_AT = """
captured = HERE / "captured.pt2"
expected = torch.load(HERE / "expected.pt", weights_only=False) if (HERE / "expected.pt").exists() else []
calls = torch.load(HERE / "inputs.pt", weights_only=False)["calls"]
runs = [torch.export.load(captured).module()] if captured.exists() else []
failed = not captured.exists()
for number, values in enumerate(expected):
    print(f"expected: {values}")
    for run in runs:
        torch.manual_seed(SEED + number)
        leaves = pytree.tree_leaves(run(*calls[number]["args"], **calls[number]["kwargs"]))
        print(f"got:      {leaves}")
        pairs = zip(values.values(), leaves)
        failed |= any(isinstance(one, torch.Tensor) and not torch.equal(one, other) for one, other in pairs)
print(f"recorded: {RECORDED}")
sys.exit(1 if failed else 0)
"""
