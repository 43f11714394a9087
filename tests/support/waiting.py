"""What finds, without a GPU, that code would wait for one or mix it up with the CPU."""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ASKING = {"item", "tolist", "__float__", "__int__", "__bool__", "__index__", "__len__", "cpu", "numpy", "nonzero"}
OPERATIONS = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "lift_fresh", "unique")


class Counter(TorchDispatchMode):
    """Notes what makes a host wait for its device: numbers asked for, numbers sent, sizes that depend on values."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        masks = name in ("index", "index_put_", "index_put") and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        if name.rstrip("2") in OPERATIONS or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class Calls(TorchFunctionMode):
    """The same for calls that reach no operation, such as tolist."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in ASKING - {"__len__"}:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class Nowhere:
    """In place of a generator on a GPU: there is none for a device that is not there."""

    device = torch.device("cuda")


def undirected(monkeypatch):
    """Draws take no notice of a generator, so that `Nowhere` will do."""
    for name in ("rand", "randn", "randperm"):
        plain = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *size, plain=plain, generator=None, **kind: plain(*size, **kind))


class Copies(TorchDispatchMode):
    """Notes copies between host and device."""

    def __init__(self, moved):
        super().__init__()
        self.moved = moved

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func._schema.name in ("aten::_to_copy", "aten::copy_") and isinstance(out, torch.Tensor):
            source = args[0] if func._schema.name == "aten::_to_copy" else args[1]
            if source.device.type != out.device.type:
                self.moved.append(func._schema.name)
        return out


def fake_on_gpu(model):
    """The model with parameters and buffers that only say that they are on a GPU; inside a FakeTensorMode."""
    for module in model.modules():
        for store in (module._parameters, module._buffers):
            for name, value in store.items():
                if value is not None:
                    empty = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                    store[name] = torch.nn.Parameter(empty) if store is module._parameters else empty
    return model
