"""Blocks of the published codes, stated anew in plain PyTorch, with their parameters' names.

Written from the papers and from lists of names; nothing here is anybody's code. Each block is `make(conv)`: what stands in
place of a k×k convolution without bias.

  DyRep   arXiv 2203.12868   dbb_kxk dbb_1x1 dbb_1x1_kxk dbb_1x1_avg dbb_1xk dbb_kx1 dbb_id
  DBB     arXiv 2103.13425   dbb_origin dbb_1x1 dbb_1x1_kxk dbb_avg
  RepVGG  arXiv 2101.03697   rbr_dense rbr_1x1 rbr_identity
"""

import torch
from torch import nn
from torch.nn import functional as F


def conv_of(like, inputs, outputs, kernel, stride, padding, bias=False):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=like.groups, bias=bias)


class Pair(nn.Module):
    """A convolution and its norm, called `conv` and `bn`."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.weight.shape[0] if isinstance(conv, nn.Conv2d) else conv.outputs)

    def forward(self, x):
        return self.bn(self.conv(x))


class PaddingNorm(nn.Module):
    """A norm, called `bn`, whose output is padded with what it makes of zero."""

    def __init__(self, channels, padding):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.padding = padding

    def forward(self, x):
        norm = self.bn
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        border = (norm.bias - norm.running_mean * scale).detach().view(1, -1, 1, 1)
        p = self.padding
        return F.pad(norm(x) - border, [p, p, p, p]) + border


class IdentityBased(nn.Conv2d):
    """A 1×1 convolution whose weight is the difference from the identity of each group."""

    def __init__(self, channels, groups):
        super().__init__(channels, channels, 1, groups=groups, bias=False)

    def forward(self, x):
        per_group = self.weight.shape[1]
        rows = torch.arange(self.weight.shape[0])
        identity = torch.zeros_like(self.weight)
        identity[rows, rows % per_group] = 1
        return F.conv2d(x, self.weight + identity, groups=self.groups)


class Sequence(nn.Module):
    """Parts with names, one after the other."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        for part in self.children():
            x = part(x)
        return x


class Sum(nn.Module):
    def __init__(self, outputs, parts):
        super().__init__()
        self.outputs = outputs
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return sum(part(x) for part in self.children())


def average(conv, norm_name):
    """1×1 → BN → average pooling → BN; of a depthwise convolution the pooling and its BN alone."""
    i, o, k, s, p = conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0], conv.padding[0]
    if conv.groups == o:
        return Sequence(avg=nn.AvgPool2d(k, s, p), avgbn=nn.BatchNorm2d(o))
    return Sequence(conv=conv_of(conv, i, o, 1, 1, 0), bn=PaddingNorm(o, p), avg=nn.AvgPool2d(k, s), avgbn=nn.BatchNorm2d(o))


def two(conv, first_name, first, middle):
    o, k, s, p = conv.out_channels, conv.kernel_size[0], conv.stride[0], conv.padding[0]
    return Sequence(**{first_name: first}, bn1=PaddingNorm(middle, p), conv2=conv_of(conv, middle, o, k, s, 0), bn2=nn.BatchNorm2d(o))


def dyrep(conv, kinds, inner=None, inner_second=None):
    """A block with the given branches; `inner` makes the k×k convolution a block itself, `inner_second` that of 1x1_kxk."""
    i, o, k, s, p = conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0], conv.padding[0]
    kxk = conv_of(conv, i, o, k, s, p, bias=True)
    parts = {"dbb_kxk": Pair(inner(kxk) if inner else kxk)}
    if "1x1" in kinds:
        parts["dbb_1x1"] = Pair(conv_of(conv, i, o, 1, s, 0))
    if "1x1_kxk" in kinds:
        parts["dbb_1x1_kxk"] = two(conv, "conv1", conv_of(conv, i, i, 1, 1, 0), i)
        if inner_second:
            parts["dbb_1x1_kxk"].conv2 = inner_second(parts["dbb_1x1_kxk"].conv2)
    if "1x1_avg" in kinds:
        parts["dbb_1x1_avg"] = average(conv, "avgbn")
    if "1xk" in kinds:
        parts["dbb_1xk"] = Pair(conv_of(conv, i, o, (1, k), s, (0, p)))
    if "kx1" in kinds:
        parts["dbb_kx1"] = Pair(conv_of(conv, i, o, (k, 1), s, (p, 0)))
    if "identity" in kinds and i == o and s == 1:
        parts["dbb_id"] = nn.BatchNorm2d(o)
    return Sum(o, parts)


def dbb(conv):
    i, o, k, s, p = conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0], conv.padding[0]
    parts = {"dbb_origin": Pair(conv_of(conv, i, o, k, s, p)), "dbb_avg": average(conv, "avgbn")}
    depthwise = conv.groups == o
    if not depthwise:
        parts["dbb_1x1"] = Pair(conv_of(conv, i, o, 1, s, 0))
    # As published: twice the channels in the middle of a depthwise convolution, else the identity-based kernel.
    if depthwise:
        parts["dbb_1x1_kxk"] = two(conv, "conv1", conv_of(conv, i, 2 * i, 1, 1, 0), 2 * i)
    else:
        parts["dbb_1x1_kxk"] = two(conv, "idconv1", IdentityBased(i, conv.groups), i)
    return Sum(o, parts)


def repvgg(conv):
    i, o, k, s, p = conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0], conv.padding[0]
    parts = {}
    if i == o and s == 1:
        parts["rbr_identity"] = nn.BatchNorm2d(i)
    parts["rbr_dense"] = Pair(conv_of(conv, i, o, k, s, p))
    parts["rbr_1x1"] = Pair(conv_of(conv, i, o, 1, s, 0))
    return Sum(o, parts)


class RepVgg(nn.Module):
    """The published network's names: stage0, stage1.0 …, linear."""

    def __init__(self, stem, depths, widths, classes, groups=1):
        super().__init__()
        number = 0

        def block(inputs, outputs, stride):
            nonlocal number
            split = groups if number % 2 == 0 and number > 0 else 1
            number += 1
            return repvgg(nn.Conv2d(inputs, outputs, 3, stride, 1, groups=split, bias=False))

        inputs = stem
        self.stage0 = block(3, inputs, 2)
        for stage, (depth, width) in enumerate(zip(depths, widths), 1):
            blocks = []
            for at in range(depth):
                blocks.append(block(inputs, width, 2 if at == 0 else 1))
                inputs = width
            self.add_module(f"stage{stage}", nn.ModuleList(blocks))
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.stage0(x))
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            for block in stage:
                x = F.relu(block(x))
        return self.linear(x.mean([2, 3]))
