"""Writes narrow networks with the names of the published RepNAS code (arXiv 2109.03508), packed by gzip. python repnas.py
(PyTorch 2.15, safetensors 0.8).

Stated anew from lists of names; nothing here is anybody's code. Evaluation mode, double precision. `expected_repnas.safetensors`
holds one batch, `input`, and the logits by the file's name; of the search's network also with the branches that α chooses.
"""

import io

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from networks import fold, identity, pack, randomise, stored

CLASSES = 5
SHARE = 0.34
DEPTHS, WIDTHS, STEM = (2, 4, 14, 1), (2, 3, 6, 22), 1  # a RepVGG-A2 of width 1


class ConvBn(nn.Module):
    def __init__(self, i, o, k, stride, padding, bn=None):
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, padding, bias=False)
        self.bn = bn or nn.BatchNorm2d(o)

    def forward(self, x):
        return self.bn(self.conv(x))

    def folded(self):
        rows, columns = self.conv.kernel_size
        weight, bias = fold(self.conv.weight, self.bn)
        return F.pad(weight, [1 - columns // 2] * 2 + [1 - rows // 2] * 2), bias


class PaddingNorm(nn.Module):
    """A norm, called `bn`, whose output is padded by one with what it makes of zero."""

    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def border(self):
        return fold(torch.zeros(self.bn.num_features, 1, 1, 1), self.bn)[1]

    def forward(self, x):
        border = self.border()[:, None, None]
        return F.pad(self.bn(x) - border, [1] * 4) + border


class Average(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.stride = stride
        self.conv1 = ConvBn(i, o, 1, 1, 0, PaddingNorm(o))
        self.bn2 = nn.BatchNorm2d(o)

    def forward(self, x):
        return self.bn2(F.avg_pool2d(self.conv1(x), 3, self.stride))

    def folded(self):
        weight, bias = fold(self.conv1.conv.weight, self.conv1.bn.bn)
        gain = self.bn2.weight / torch.sqrt(self.bn2.running_var + self.bn2.eps)
        bias = (bias - self.bn2.running_mean) * gain + self.bn2.bias
        return (weight * gain[:, None, None, None] / 9).expand(-1, -1, 3, 3), bias


class Offset(nn.Module):
    """A 1×1 convolution, `weight` being its difference from the identity."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, 1, 1) * 0.5)

    def kernel(self):
        return self.weight + identity(*self.weight.shape[:2])

    def forward(self, x):
        return F.conv2d(x, self.kernel())


class Sequence(nn.Module):
    """1×1 (identity and difference) → BN → 3×3 → BN; at a stride of 2 the 3×3 and its BN alone."""

    def __init__(self, i, o, stride):
        super().__init__()
        self.both = stride == 1
        if self.both:
            self.conv1, self.bn1 = Offset(i), PaddingNorm(i)
        self.conv2 = ConvBn(i, o, 3, stride, 0 if self.both else 1)

    def forward(self, x):
        return self.conv2(self.bn1(self.conv1(x)) if self.both else x)

    def folded(self):
        second, bias = self.conv2.folded()
        if self.both:
            first, shift = fold(self.conv1.kernel(), self.bn1.bn)
            bias = bias + torch.einsum("omhw,m->o", second, shift)
            second = torch.einsum("omhw,mi->oihw", second, first[:, :, 0, 0])
        return second, bias


class Skip(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.bn(x)

    def folded(self):
        return fold(F.pad(identity(self.bn.num_features, self.bn.num_features), [1] * 4), self.bn)


def branches(i, o, s):
    return [
        ConvBn(i, o, 1, s, 0), Average(i, o, s), ConvBn(i, o, 3, s, 1), Sequence(i, o, s),
        ConvBn(i, o, (1, 3), s, (0, 1)), ConvBn(i, o, (3, 1), s, (1, 0)),
    ]


class Layer(nn.Module):
    """In the search all six branches and a dead convolution; afterwards those chosen, numbered anew."""

    def __init__(self, i, o, stride, chosen=None):
        super().__init__()
        self.stride = stride
        if chosen is None:
            self.conv = ConvBn(i, o, 3, stride, 1)
        every = branches(i, o, stride)
        self._ops = nn.ModuleList(every if chosen is None else [every[at] for at in range(6) if chosen[at]])
        if stride == 1:
            self.skip_connect = Skip(o)

    def running(self, mask):
        parts = [op for at, op in enumerate(self._ops) if mask is None or mask[at]]
        if hasattr(self, "skip_connect"):
            return [self.skip_connect, *parts]
        return parts or [self._ops[2]]

    def forward(self, x, mask):
        return F.relu(sum(part(x) for part in self.running(mask)))

    def folded(self, mask):
        weights, biases = zip(*(part.folded() for part in self.running(mask)))
        return sum(weights), sum(biases)


class Network(nn.Module):
    def __init__(self, structure=None):
        super().__init__()
        self.features = nn.ModuleList()
        i = 3
        strides = [2] + [1 + (number == 0) for depth in DEPTHS for number in range(depth)]
        outputs = [STEM] + [o for depth, o in zip(DEPTHS, WIDTHS) for _ in range(depth)]
        for at, (o, stride) in enumerate(zip(outputs, strides)):
            self.features.append(Layer(i, o, stride, None if structure is None else structure[at]))
            i = o
        self.linear = nn.Linear(i, CLASSES)
        if structure is None:
            self.alphas = nn.Parameter(torch.randn(len(outputs), 6))

    def forward(self, x, mask=None):
        for at, layer in enumerate(self.features):
            x = layer(x, None if mask is None else mask[at])
        return self.linear(x.mean([2, 3]))

    def forward_folded(self, x, mask=None):
        for at, layer in enumerate(self.features):
            weight, bias = layer.folded(None if mask is None else mask[at])
            x = F.relu(F.conv2d(x, weight, bias, layer.stride, 1))
        return self.linear(x.mean([2, 3]))


def best(alphas):
    """The global choice: the largest of all layers' scores."""
    mask = torch.zeros(alphas.numel())
    mask[alphas.flatten().argsort(descending=True)[: int(alphas.numel() * SHARE)]] = 1
    return mask.view_as(alphas)


@torch.no_grad()
def main():
    torch.manual_seed(1)
    x = torch.randn(2, 3, 48, 48).half().double()
    expected = {"input": x.float()}

    # The search: by its α, and with a structure kept beside the weights, where two layers have no branch (one with an identity).
    net = randomise(Network())
    net.alphas.copy_(torch.randperm(net.alphas.numel()).view_as(net.alphas) / 64 - 1)
    kept = best(torch.randn(22, 6))
    kept[3] = kept[5] = 0
    chosen = best(net.alphas)
    assert len(net.alphas.unique()) == net.alphas.numel() and not torch.equal(kept, chosen)
    state = {key: stored(tensor) for key, tensor in net.state_dict().items()}
    pack("repnas_search.safetensors", save(state))
    for name, mask in [("repnas_search", chosen), ("repnas_search_fixed", kept)]:
        expected[name] = report(name, net, x, mask)
        expected[f"{name}/chosen"] = mask

    # What is trained from scratch afterwards: the layers' branches are numbered as they come.
    kept = kept.clone()
    for layer, mask in zip(net.features, kept):
        if layer.stride == 2 and not mask.any():
            mask[3] = 1  # a layer without any branch cannot run there
    net = randomise(Network(kept))
    expected["repnas_found"] = report("repnas_found", net, x, None)
    expected["repnas_found/chosen"] = kept
    state = {key: stored(tensor) for key, tensor in net.state_dict().items()}
    pack("repnas_found.pt", saved({"model": state, "epoch": 120, "optimizer": {}}))
    deployed = {f"linear.{key}": value for key, value in net.linear.state_dict().items()}
    for at, layer in enumerate(net.features):
        deployed |= dict(zip([f"features.{at}.conv.weight", f"features.{at}.conv.bias"], layer.folded(None)))
    pack("repnas_found_deployed.safetensors", save({key: stored(tensor) for key, tensor in deployed.items()}))
    pack("expected_repnas.safetensors", save(expected))


def saved(whole):
    data = io.BytesIO()
    torch.save(whole, data, _use_new_zipfile_serialization=False)  # which is smaller
    return data.getvalue()


def report(name, net, x, mask):
    logits, folded = net(x, mask), net.forward_folded(x, mask)
    difference = (logits - folded).abs().max().item()
    assert difference < 1e-10 * max(1, logits.abs().max().item())
    chosen = "" if mask is None else f", {int(mask.sum())} branches chosen"
    spread = logits.diff(dim=0).abs().max()
    print(f"{name}: largest logit {logits.abs().max():.3g}, between the two images {spread:.2g}{chosen}")
    print(f"  folded differs by {difference:.1e}")
    return logits.float()


if __name__ == "__main__":
    main()
