"""What a block of parallel convolution branches computes, in plain PyTorch calls: its form, random
parameters, forward pass, one training step, and the one convolution that it is at evaluation.

Written from a description of the blocks and from no other code; `blocks.py` makes the files from it.
"""

import re
import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

EPS, MOMENTUM = 1e-5, 0.1


@dataclass
class Case:
    """A block's form: a convolution's geometry, and the branches that are summed."""

    name: str
    preset: str
    channels: list  # [in, out]
    kernel: list
    branches: list  # such as "kxk", "kxk.2", "1x1:none"
    stride: list = field(default_factory=lambda: [1, 1])
    dilation: list = field(default_factory=lambda: [1, 1])
    groups: int = 1
    padding: list = None  # [top, left, bottom, right]; None: middle taps on the output's own pixels
    norm_after: bool = False
    bias: bool = False  # whether the convolution of `kxk` has a bias before its norm
    mid: dict = field(default_factory=dict)  # path of a branch -> channels after its first convolution
    inside: dict = field(default_factory=dict)  # path of a branch -> the block that its convolution is
    online: bool = False  # whether it is the preset without norms inside
    prefix: str = ""  # before the paths of a block inside another
    input: list = field(default_factory=lambda: [7, 9])
    batch: int = 2

    def __post_init__(self):
        if self.padding is None:
            before = [d * (k // 2) for k, d in zip(self.kernel, self.dilation)]
            after = [d * (k - 1) - b for k, d, b in zip(self.kernel, self.dilation, before)]
            self.padding = before + after
        self.parts = [Branch(self, text) for text in self.branches]

    def all_parts(self):
        """The branches, and those of the blocks inside."""
        for b in self.parts:
            yield b
            yield from b.block.all_parts() if b.block else []

    def own_tap(self, axis):
        """The tap m that reads the output's own pixel: what is padded before is dilation * m."""
        m, rest = divmod(self.padding[axis], self.dilation[axis])
        k = self.kernel[axis]
        assert rest == 0 and m in ((k - 1) // 2, k // 2), f"{self.name}: no middle tap"
        return m


class Branch:
    """What one branch consists of, and the names of its parts. `None`: it has no such part."""

    def __init__(self, case, text):
        name, _, end = text.partition(":")
        self.path, self.end = case.prefix + name, end or "norm"
        kind = name.split(".")[0]
        front, core = re.fullmatch("(id1x1_|1x1_|dw_|)(.+)", kind).groups()
        self.is_residual, self.is_separable = front == "id1x1_", front == "dw_"
        self.is_avg, self.is_prior = core == "avg", core == "prior"
        self.is_conv = core not in ("avg", "prior", "identity")
        depthwise = case.groups == case.channels[0] == case.channels[1]
        # Averaging a depthwise block's input needs no 1x1 in front.
        has_first = bool(front) and not (self.is_avg and depthwise)
        assert has_first or self.end != "linear", text
        assert self.end == "linear" or not (self.is_prior or self.is_separable), text
        named = lambda part, wanted: f"{self.path}.{part}" if wanted else None
        both = has_first and self.is_conv  # two convolutions: numbered
        self.first = named("conv1" if both else "conv", has_first)
        self.first_norm = named("bn1" if both else "bn", has_first and self.end != "linear")
        self.conv = named("conv2" if both else "conv", self.is_conv)
        norm = "avgbn" if front and self.is_avg else "bn2" if both else "bn"
        self.norm = named(norm, self.end == "norm")
        self.scale = named("scale", self.end in ("scale", "constant", "linear"))
        self.has_bias = self.end == "bias" or (name == "kxk" and case.bias)
        n_in, n_out = case.channels
        default = 8 * n_in if self.is_separable else n_in if self.is_conv else n_out
        self.mid = case.mid.get(self.path, default) if has_first else n_in
        if not self.is_conv:  # these give as many channels as they take
            assert self.mid == n_out, text
        elif not self.is_separable:
            self.taps = taps(case, core)
        self.block = self.inside(case, core)

    def inside(self, case, core):
        """The block that its convolution is: behind a 1x1 it sees what is padded already."""
        branches = case.inside.get(self.path)
        if branches is None:
            return None
        assert core == "kxk" and not self.is_separable
        padding, bias = ([0] * 4, False) if self.first else (case.padding, self.has_bias)
        return Case(f"{case.name}: {self.conv}", case.preset, [self.mid, case.channels[1]], case.kernel, branches,
                    case.stride, case.dilation, case.groups, padding, False, bias, case.mid, case.inside,
                    prefix=f"{self.conv}.")


def taps(case, core):
    """Which of the block's taps a kernel has, as rows and columns; and its rate."""
    kh, kw = case.kernel
    sizes = {"kxk": "%dx%d" % (kh, kw), "1xk": f"1x{kw}", "kx1": f"{kh}x1"}.get(core, core)
    h, w, rate = re.fullmatch(r"(\d+)x(\d+)(?:d(\d+))?", sizes).groups(default="1")
    result, rate = [], int(rate)
    for axis, size in enumerate((int(h), int(w))):
        k = case.kernel[axis]
        if size == k and rate == 1:
            at = list(range(k))  # all of them, wherever the own pixel is
        else:  # tap floor(s/2) lies on the output's own pixel
            at = [case.own_tap(axis) + rate * (i - size // 2) for i in range(size)]
        assert 0 <= at[0] and at[-1] < k, f"{case.name}: {core} sticks out"
        result.append(torch.tensor(at))
    return result[0], result[1], rate


def draw(case):
    """Parameters by path, `x`, and the generator for what else is wanted. All of it float32 values in
    float64, drawn at random, none at its default. The case's name is the seed."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    p = {}

    def put(name, shape, scale, mean=0.0, of=lambda v: v):
        p[name] = torch.tensor(of(mean + scale * rng.standard_normal(shape))).float().double()

    def norm(path, n):
        put(f"{path}.weight", n, 0.3, mean=1.0)
        put(f"{path}.bias", n, 0.3)
        put(f"{path}.running_mean", n, 0.3)
        put(f"{path}.running_var", n, 0.3, of=np.exp)

    def conv(path, n_out, n_in, size, groups, bias=False):
        shape = [n_out, n_in // groups, *size]
        put(f"{path}.weight", shape, np.prod(shape[1:]) ** -0.5)
        if bias:
            put(f"{path}.bias", n_out, 0.3)

    def block(case):
        n_in, n_out = case.channels
        for b in case.parts:
            if b.first and b.is_separable:
                conv(b.first, b.mid, n_in, case.kernel, n_in)
            elif b.first:
                conv(b.first, b.mid, n_in, (1, 1), case.groups)
            if b.first_norm:
                norm(b.first_norm, b.mid)
            if b.block:
                block(b.block)
            elif b.conv:
                size = (1, 1) if b.is_separable else (len(b.taps[0]), len(b.taps[1]))
                conv(b.conv, n_out, b.mid, size, case.groups, b.has_bias)
            if b.norm:
                norm(b.norm, n_out)
            if b.scale:
                put(b.scale, n_out, 0.3, mean=1.0 if b.end == "constant" else 0.5)

    block(case)
    if case.norm_after:
        norm("bn", case.channels[1])
    put("x", [case.batch, case.channels[0], *case.input], 1.0, mean=0.25)
    return p, p.pop("x"), rng


def trained(case, p):
    """The paths that get a gradient: all but running statistics and constants."""
    constant = {b.scale for b in case.all_parts() if b.end == "constant"}
    return [name for name in p if ".running_" not in name and name not in constant]


def per_channel(v):
    return v.view(1, -1, 1, 1)


def pad(case, x, value=None):
    """Pads as the block does: with zeros, or with a value per channel."""
    top, left, bottom, right = case.padding
    around = (left, right, top, bottom)
    padded = F.pad(x, around)
    if value is not None:
        border = 1 - F.pad(torch.ones_like(x[:1, :1]), around)
        padded = padded + border * per_channel(value)
    return padded


def embed(case, b, weight):
    """A kernel with some of the block's taps as one with all of them: zeros elsewhere."""
    whole = weight.new_zeros(*weight.shape[:2], *case.kernel)
    rows, columns, _ = b.taps
    whole[:, :, rows[:, None], columns] = weight
    return whole


def average(case, padded):
    """The mean over the block's taps; what was padded counts."""
    n, c, h, w = padded.shape
    size = [(s - d * (k - 1) - 1) // t + 1
            for s, d, k, t in zip((h, w), case.dilation, case.kernel, case.stride)]
    columns = F.unfold(padded, case.kernel, dilation=case.dilation, stride=case.stride)
    return columns.view(n, c, -1, *size).mean(2)


def cosines(case):
    """The filter of each output channel [out, 1, h, w]: up and down for the first half, then across."""
    (kh, kw), n_out = case.kernel, case.channels[1]
    own = torch.arange(n_out, dtype=torch.float64)[:, None, None]
    behind = own - n_out / 2  # an odd number of channels has no middle: halves stay
    place = lambda k: torch.arange(k, dtype=torch.float64) + 0.5
    down = torch.cos(torch.pi * place(kh)[:, None] * (own + 1) / kh)
    across = torch.cos(torch.pi * place(kw) * (behind + 1) / kw)
    return torch.where(behind < 0, down, across)[:, None]


def first_conv(case, b, p, x):
    """The convolution that a branch starts with."""
    w = p[f"{b.first}.weight"]
    if b.is_separable:  # all of the block's taps, each input channel by itself
        return F.conv2d(pad(case, x), w, None, case.stride, 0, case.dilation, case.channels[0])
    y = F.conv2d(x, w, groups=case.groups)
    if b.is_residual:  # in each group the channels as often as there is room for them, one after the other
        y = y + torch.cat([x_g.repeat(1, b.mid // case.channels[0], 1, 1) for x_g in x.chunk(case.groups, 1)], 1)
    return y


def forward(case, p, x, training, borders=None):
    """The block, branch by branch. Returns y, the running statistics that are left, and the values
    that were padded with between the halves of chains; `borders` prescribes these."""
    buffers, used = {}, {}

    def norm(path, x):
        mean, var = (p[f"{path}.running_{s}"].clone() for s in ("mean", "var"))
        y = F.batch_norm(x, mean, var, p[f"{path}.weight"], p[f"{path}.bias"], training, MOMENTUM, EPS)
        buffers[f"{path}.running_mean"], buffers[f"{path}.running_var"] = mean, var
        return y

    total = 0
    for b in case.parts:
        y, border = x, None
        if b.first:
            y = first_conv(case, b, p, x)
        if b.first_norm:
            y = norm(b.first_norm, y)
            # The norm's image of zero, by the statistics that this batch leaves; no gradient to it.
            image = image_of_zero(p, b.first_norm, buffers).detach()
            border = used[b.path] = image if borders is None else borders[b.path]
        if b.block:
            seen = pad(case, y, border) if b.first else y
            y, inner_buffers, inner_used = forward(b.block, p, seen, training, borders)
            buffers.update(inner_buffers)
            used.update(inner_used)
        elif b.is_separable:
            y = F.conv2d(y, p[f"{b.conv}.weight"], groups=case.groups)
        elif b.conv:
            kernel = embed(case, b, p[f"{b.conv}.weight"])
            y = F.conv2d(pad(case, y, border), kernel, p.get(f"{b.conv}.bias"), case.stride, 0,
                         case.dilation, case.groups)
        elif b.is_avg:
            y = average(case, pad(case, y, border))
        elif b.is_prior:
            filters = cosines(case).to(x.dtype)
            y = F.conv2d(pad(case, y), filters, None, case.stride, 0, case.dilation, case.channels[1])
        if b.norm:
            y = norm(b.norm, y)
        if b.scale:
            y = y * per_channel(p[b.scale])
        assert isinstance(total, int) or y.shape == total.shape, f"{case.name}: {b.path}"
        total = total + y
    return norm("bn", total) if case.norm_after else total, buffers, used


def factor(p, path, buffers=None):
    return p[f"{path}.weight"] / torch.sqrt((buffers or p)[f"{path}.running_var"] + EPS)


def image_of_zero(p, path, buffers=None):
    mean = (buffers or p)[f"{path}.running_mean"]
    return p[f"{path}.bias"] - mean * factor(p, path, buffers)


def fuse(case, p):
    """The one convolution that the block is in evaluation mode: kernel and bias."""
    (n_in, n_out), g = case.channels, case.groups
    weight, bias = 0, 0
    for b in case.parts:
        if b.block:
            k, c = fuse(b.block, p)
        elif b.is_separable:
            per_input = p[f"{b.first}.weight"].view(g, n_in // g, -1, *case.kernel)
            mixed = p[f"{b.conv}.weight"].view(g, n_out // g, n_in // g, -1)
            k, c = torch.einsum("goim,gimhw->goihw", mixed, per_input).reshape(n_out, n_in // g, *case.kernel), 0
        elif b.conv:
            k, c = embed(case, b, p[f"{b.conv}.weight"]), p.get(f"{b.conv}.bias", 0)
        else:  # each channel from itself alone
            itself = torch.eye(n_out // g, dtype=torch.float64).repeat(g, 1)[:, :, None, None]
            if b.is_prior:
                k = itself * cosines(case)
            elif b.is_avg:
                k = itself.expand(-1, -1, *case.kernel) / (case.kernel[0] * case.kernel[1])
            else:
                k = torch.zeros(n_out, n_out // g, *case.kernel, dtype=torch.float64)
                k[:, :, case.own_tap(0), case.own_tap(1)] = itself[:, :, 0, 0]
            c = 0
        if b.first and not b.is_separable:
            first = p[f"{b.first}.weight"][:, :, 0, 0]
            if b.is_residual:
                first = first + torch.eye(n_in // g, dtype=torch.float64).repeat(b.mid * g // n_in, 1)
            halves = k.view(g, n_out // g, b.mid // g, *case.kernel)
            if b.first_norm:
                first = first * factor(p, b.first_norm)[:, None]
                image = image_of_zero(p, b.first_norm).view(g, -1)
                c = c + torch.einsum("gomhw,gm->go", halves, image).reshape(-1)
            k = torch.einsum("gomhw,gmi->goihw", halves, first.view(g, b.mid // g, n_in // g))
            k = k.reshape(n_out, n_in // g, *case.kernel)
        if b.norm:
            s = factor(p, b.norm)
            k, c = k * s.view(-1, 1, 1, 1), c * s + image_of_zero(p, b.norm)
        if b.scale:
            k, c = k * p[b.scale].view(-1, 1, 1, 1), c * p[b.scale]
        weight, bias = weight + k, bias + c
    if case.norm_after:
        s = factor(p, "bn")
        weight, bias = weight * s.view(-1, 1, 1, 1), bias * s + image_of_zero(p, "bn")
    return weight, bias + torch.zeros(n_out, dtype=torch.float64)


def compute(case, p, x, grad_y=None, borders=None):
    """All that a file holds beside the parameters, in the type of `p`. `grad_y` may be a function
    of the output's shape."""
    leaves = {name: p[name].clone().requires_grad_() for name in trained(case, p)}
    x_leaf = x.clone().requires_grad_()
    y, buffers, _ = forward(case, {**p, **leaves}, x_leaf, True, borders)
    grad_y = grad_y(list(y.shape)) if callable(grad_y) else grad_y
    y.backward(grad_y)
    out = {"grad_y": grad_y, "train.y": y.detach(), "train.grad.x": x_leaf.grad}
    out |= {f"train.grad.{name}": v.grad for name, v in leaves.items()}
    out |= {f"train.buffer.{name}": v for name, v in buffers.items()}
    out["eval.y"] = forward(case, p, x, False)[0]
    if x.dtype == torch.float64:
        weight, bias = fuse(case, p)
    else:
        weight, bias = (v.float() for v in fuse(case, {name: v.double() for name, v in p.items()}))
    out |= {"fused.weight": weight, "fused.bias": bias}
    out["fused.y"] = F.conv2d(pad(case, x), weight, bias, case.stride, 0, case.dilation, case.groups)
    return out
