"""Writes narrow networks with the names of the published OREPA code (arXiv 2204.00826), packed by gzip. python networks.py
(PyTorch 2.15, safetensors 0.8).

Stated anew from lists of names and from block.py; nothing here is anybody's code. Every branch runs on the input, in evaluation
mode and double precision; what is learned fits half precision. `expected_orepa.safetensors` holds one batch, `input`, and the
logits by the file's name; for `orepa_blocks`, modules in a network of somebody's own, `CASE.x` and `CASE.y`.
"""

import gzip
import io
import pathlib

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from block import Block, identity, published_rows

OUT = pathlib.Path(__file__).parent
CLASSES = 5
PARTS = {
    "kxk": "origin", "1x1_avg": "avg_conv", "prior": "pfir_conv", "1x1": "1x1", "1x1_kxk.a": "1x1_kxk_idconv1",
    "1x1_kxk.conv2": "1x1_kxk_conv2", "depthwise": "gconv_dw", "pointwise": "gconv_pw",
}
UNSET = 1234.0  # what stands in memory that nothing has written


class ConvBn(nn.Module):
    def __init__(self, i, o, k, stride=1, padding=0, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(o)

    def forward(self, x):
        return self.bn(self.conv(x))

    def folded(self):
        return {"conv": fold(self.conv.weight, self.bn)}


class Online(nn.Module):
    """The k×k block; `prefix` is `weight_orepa_`, or `weight_rbr_` inside a RepVGG block, where it has no 1×1 of its own."""

    def __init__(self, i, o, stride=1, groups=1, norm=True, prefix="weight_orepa_", spare=0):
        super().__init__()
        self.prefix = prefix
        self.block = Block(i, o, 3, stride, groups, [] if prefix == "weight_orepa_" else ["1x1"])
        parameters = dict(self.block.parameters)
        scale = parameters.pop("scale").detach()
        for part, published in PARTS.items():
            if part in parameters:
                value = parameters[part].detach()
                value = published_rows(value, groups) if part == "pointwise" else value
                self.register_parameter(prefix + published, nn.Parameter(value / value.flatten(1).norm(dim=1).mean()))
        self.vector = nn.Parameter(torch.cat([scale * 0.5, torch.full((spare, o), UNSET).double()]))
        self.register_buffer(prefix + "avg_avg", torch.full((3, 3), 1 / 9))
        self.register_buffer("id_tensor", identity(self.block.mid, i // groups))
        self.register_buffer(prefix + "prior", self.block.basis)
        if norm:
            self.bn = nn.BatchNorm2d(o)

    def bind(self):
        """Gives the parameters to the block, as it calls and orders them."""
        block = self.block
        block.parameters = {part: getattr(self, self.prefix + name) for part, name in PARTS.items() if part in block.parameters}
        rows = block.parameters["pointwise"].unflatten(0, (-1, block.groups)).transpose(0, 1).flatten(0, 1)
        block.parameters |= {"pointwise": rows, "scale": self.vector[: len(block.rows)]}
        return block

    def forward(self, x):
        return self.bn(self.bind().outputs(x))

    def kernel(self):
        return self.bind().kernel()

    def folded(self):
        return {"orepa_reparam": fold(self.kernel(), self.bn)}


class Pointwise(nn.Module):
    """The 1×1 module; one of the two factors begins as an identity."""

    def __init__(self, i, o, stride=1):
        super().__init__()
        mid, self.stride = min(i, o), stride
        self.weight_or1x1_origin = nn.Parameter(torch.randn(o, i, 1, 1) / i**0.5)
        self.weight_or1x1_l2i_conv1 = nn.Parameter(torch.randn(mid, i, 1, 1) / i**0.5)
        self.weight_or1x1_l2i_conv2 = nn.Parameter(torch.randn(o, mid, 1, 1) / mid**0.5)
        self.vector = nn.Parameter(torch.randn(2, o))
        self.bn = nn.BatchNorm2d(o)

    def forward(self, x):
        first, second = self.vector[:, :, None, None]
        product = F.conv2d(F.conv2d(x, self.weight_or1x1_l2i_conv1, stride=self.stride), self.weight_or1x1_l2i_conv2)
        return self.bn(F.conv2d(x, self.weight_or1x1_origin, stride=self.stride) * first + product * second)

    def folded(self):
        first, second = self.vector[:, :, None, None, None]
        product = torch.einsum("om,mi->oi", self.weight_or1x1_l2i_conv2[:, :, 0, 0], self.weight_or1x1_l2i_conv1[:, :, 0, 0])
        return {"or1x1_reparam": fold(self.weight_or1x1_origin * first + product[:, :, None, None] * second, self.bn)}


class Stem(nn.Module):
    """7×7, stride 2, as published: three blocks in sequence, the kernels of all but the first turned by 180 degrees."""

    def __init__(self, i, o):
        super().__init__()
        self.weight0, self.weight1, self.weight2 = Online(i, o, norm=False), Online(o, o, norm=False), Online(o, o, norm=False)
        self.bn = nn.BatchNorm2d(o)

    def sequence(self, x, stride):
        x = F.conv2d(x, self.weight0.kernel())
        x = F.conv2d(x, self.weight1.kernel().flip(2, 3))
        return F.conv2d(x, self.weight2.kernel().flip(2, 3), stride=stride)

    def forward(self, x):
        return self.bn(self.sequence(F.pad(x, [3] * 4), 2))

    def folded(self):
        # The kernel by looking at what becomes of single pixels: read backwards.
        inputs = self.weight0.block.i
        pixels = torch.zeros(inputs, inputs, 13, 13, dtype=torch.float64)
        pixels[torch.arange(inputs), torch.arange(inputs), 6, 6] = 1
        return {"or_large_reparam": fold(self.sequence(pixels, 1).flip(2, 3).transpose(0, 1), self.bn)}


class RepVggUnit(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.same = i == o and stride == 1
        if self.same:
            self.rbr_identity = nn.BatchNorm2d(i)
        # The published code counts a scale for the identity, which has none.
        self.rbr_dense = Online(i, o, stride, prefix="weight_rbr_", spare=int(self.same))
        self.rbr_1x1 = ConvBn(i, o, 1, stride)

    def forward(self, x):
        y = self.rbr_dense(x) + self.rbr_1x1(x)
        return y + self.rbr_identity(x) if self.same else y

    def folded(self):
        point = F.pad(self.rbr_1x1.conv.weight, [1] * 4)
        parts = [fold(self.rbr_dense.kernel(), self.rbr_dense.bn), fold(point, self.rbr_1x1.bn)]
        if self.same:
            channels = self.rbr_identity.num_features
            parts.append(fold(F.pad(identity(channels, channels), [1] * 4), self.rbr_identity))
        return {"rbr_reparam": tuple(map(sum, zip(*parts)))}


class Basic(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.shortcut = ConvBn(i, o, 1, stride) if stride != 1 or i != o else nn.Identity()
        self.conv1, self.conv2 = Online(i, o, stride), Online(o, o)

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class Bottleneck(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.shortcut = Pointwise(i, 4 * o, stride) if stride != 1 or i != 4 * o else nn.Identity()
        self.conv1, self.conv2, self.conv3 = Pointwise(i, o), Online(o, o, stride), Pointwise(o, 4 * o)

    def forward(self, x):
        return F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, block, depths, width):
        super().__init__()
        self.stage0 = nn.ModuleDict({"conv1": Stem(3, width)})
        i = width
        for at, depth in enumerate(depths):
            stage, o = [], width << at
            for number in range(depth):
                stage.append(block(i, o, 2 if at and not number else 1))
                i = o * (4 if block is Bottleneck else 1)
            self.add_module(f"stage{at + 1}", nn.Sequential(*stage))
        self.linear = nn.Linear(i, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stage0["conv1"](x)), 3, 2, 1)
        return self.linear(self.stage4(self.stage3(self.stage2(self.stage1(x)))).mean([2, 3]))


class RepVgg(nn.Module):
    def __init__(self, stem, depths, widths, unit=RepVggUnit):
        super().__init__()
        i = stem
        self.stage0 = unit(3, i, 2)
        for at, (depth, o) in enumerate(zip(depths, widths)):
            stage = []
            for number in range(depth):
                stage += [unit(i, o, 1 if number else 2), nn.ReLU()]
                i = o
            # ReLUs have no name in the published sequence: the units are numbered without them.
            self.add_module(f"stage{at + 1}", nn.ModuleList(stage[::2]))
        self.linear = nn.Linear(i, CLASSES)

    def forward(self, x):
        x = F.relu(self.stage0(x))
        for at in range(1, 5):
            for unit in getattr(self, f"stage{at}"):
                x = F.relu(unit(x))
        return self.linear(x.mean([2, 3]))


def fold(kernel, norm):
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return kernel * gain[:, None, None, None], norm.bias - norm.running_mean * gain


def randomise(net, gain=1.0):
    """Norms as training leaves them, and `gain` so that deep sums do not explode; what is learned fits half precision."""
    net = net.double().eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5 * gain, 1.5 * gain)
                module.bias.uniform_(-0.2, 0.5)
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
                module.num_batches_tracked.fill_(7)
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.normal_(0, module.weight[0].numel() ** -0.5)
        for name, tensor in net.state_dict().items():
            if name.rsplit(".", 1)[-1] not in ("weight_orepa_prior", "weight_rbr_prior", "id_tensor") and "avg_avg" not in name:
                tensor.copy_(tensor.half() if tensor.is_floating_point() else tensor)
    return net


def stored(tensor):
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return (half if torch.equal(half.double(), tensor) else tensor.float()).contiguous()


def deployed(net):
    """State of the same network with each unit as one convolution, as the published conversion names it."""
    state = {f"linear.{name}": tensor for name, tensor in net.linear.state_dict().items()}
    inside = ()
    for path, module in net.named_modules():
        if hasattr(module, "folded") and not (inside and path.startswith(inside)):
            inside += (path + ".",)
            for name, (weight, bias) in module.folded().items():
                state |= {f"{path}.{name}.weight": weight.detach(), f"{path}.{name}.bias": bias.detach()}
    return state


def run_deployed(net, state, x):
    """The logits of `net` with its units replaced by the convolutions in `state`."""
    def hook(path):
        def forward(module, inputs, output):
            name = next(name for name in state if name.startswith(path + ".") and name.endswith(".weight"))
            weight, bias = state[name], state[name.removesuffix("weight") + "bias"]
            scale = inputs[0].shape[2] / output.shape[2]
            groups = inputs[0].shape[1] // weight.shape[1]
            return F.conv2d(inputs[0], weight, bias, 2 if scale > 1.2 else 1, weight.shape[2] // 2, 1, groups)
        return forward

    hooks = []
    for path, module in net.named_modules():
        inside = [name for name in state if name.startswith(path + ".") and name.count(".") == path.count(".") + 2]
        if inside and hasattr(module, "folded"):
            hooks.append(module.register_forward_hook(hook(path)))
    y = net(x)
    for hook in hooks:
        hook.remove()
    return y, len(hooks)


def pack(name, data):
    (OUT / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))


def checkpoint(state):
    """As the published training writes it."""
    whole = {"epoch": 120, "arch": "ResNet-18", "best_acc1": 12.5, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}
    data = io.BytesIO()
    torch.save(whole | {"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}, data)
    return data.getvalue()


@torch.no_grad()
def main():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32).half().double()
    expected = {"input": x.float()}
    for name, gain, make in [
        ("orepa_resnet18", 1.0, lambda: ResNet(Basic, (2, 2, 2, 2), 2)),
        ("orepa_resnet50", 1.0, lambda: ResNet(Bottleneck, (3, 4, 6, 3), 1)),
        ("orepa_repvgg_a2", 0.8, lambda: RepVgg(1, (2, 4, 14, 1), (2, 3, 6, 22))),
        ("orepa_alone", 1.0, lambda: RepVgg(2, (1, 1, 1, 1), (2, 4, 8, 10), Online)),
    ]:
        net = randomise(make(), gain)
        logits = net(x)
        state = deployed(net)
        again, units = run_deployed(net, state, x)
        trained = {key: stored(tensor) for key, tensor in net.state_dict().items()}
        file = f"{name}.pth.tar" if name == "orepa_resnet18" else f"{name}.safetensors"
        pack(file, checkpoint(trained) if file.endswith("tar") else save(trained))
        expected[name] = logits.float()
        difference = (again - logits).abs().max().item()
        assert difference < 1e-10 * logits.abs().max()
        print(f"{name}: largest logit {logits.abs().max():.3g}, between the two images {logits.diff(dim=0).abs().max():.2g}")
        print(f"  {units} units, deployed differs by {difference:.1e}")
        if name != "orepa_resnet18":
            pack(f"{name}_deployed.safetensors", save({key: stored(tensor) for key, tensor in state.items()}))
    blocks = {}
    for name, i, o, k, stride, groups in [
        ("groups", 8, 8, 3, 1, 4),
        ("doubled", 10, 10, 3, 2, 5),
        ("depthwise", 6, 6, 3, 1, 6),
        ("multiplied", 5, 10, 3, 2, 5),
        ("odd", 5, 5, 3, 1, 1),
    ]:
        block = randomise(Online(i, o, stride, groups))
        x = torch.randn(2, i, 7, 6).half().double()
        blocks |= {f"{name}.{key}": stored(tensor) for key, tensor in block.state_dict().items()}
        expected |= {f"{name}.x": x.float(), f"{name}.y": block(x).float()}
    pack("orepa_blocks.safetensors", save(blocks))
    pack("expected_orepa.safetensors", save(expected))


if __name__ == "__main__":
    main()
