"""The online block of OREPA (arXiv 2204.00826), for `networks.py` and `repnas.py`.

Written from the mathematics; nothing here is anybody's code. `outputs` runs every branch on the input, `kernel` composes them in
weight space.
"""

import math

import torch
from torch.nn import functional as F

ROWS = ["kxk", "1x1_avg", "prior", "1x1_kxk", "1x1", "depthwise"]  # of `scale`, in the published order
EXPANSION = 8


def draw(*shape, scale=1.0, around=0.0):
    return (torch.randn(shape) * scale + around).half().double()


def parameter(*shape, scale=1.0):
    return draw(*shape, scale=scale).requires_grad_()


def basis(out, k):
    """P[o, h, w]: cosines along h for the first half of the channels, along w for the rest; the half is not rounded."""
    p = torch.zeros(out, k, k, dtype=torch.float64)
    for o in range(out):
        for h in range(k):
            for w in range(k):
                along, frequency = (h, o + 1) if o < out / 2 else (w, o + 1 - out / 2)
                p[o, h, w] = math.cos(math.pi * (along + 0.5) * frequency / k)
    return p


def identity(rows, columns):
    """Of every group one identity; two, one below the other, where there are twice as many rows."""
    eye = torch.zeros(rows, columns, 1, 1, dtype=torch.float64)
    for row in range(rows):
        eye[row, row % columns] = 1
    return eye


class Block:
    """The k×k block: parameters, its branches on an input, and its kernel."""

    def __init__(self, i, o, k=3, stride=1, groups=1, without=()):
        self.i, self.o, self.k, self.stride, self.groups = i, o, k, stride, groups
        self.mid = mid = i if groups <= 4 else 2 * i
        self.rows = [row for row in ROWS if row not in without]
        self.basis = basis(o, k)
        n = i // groups
        self.parameters = {
            "kxk": parameter(o, n, k, k, scale=0.5),
            "1x1_avg": parameter(o, n, 1, 1),
            "prior": parameter(o, n, 1, 1),
            "1x1_kxk.a": parameter(mid, n, 1, 1, scale=0.4),
            "1x1_kxk.conv2": parameter(o, mid // groups, k, k, scale=0.4),
            "1x1": parameter(o, n, 1, 1),
            "depthwise": parameter(EXPANSION * i, 1, k, k, scale=0.4),
            "pointwise": parameter(o, EXPANSION * n, 1, 1, scale=0.3),
            "scale": parameter(len(self.rows), o),
        }
        for row in without:
            del self.parameters[row]

    def scaled(self):
        """Branches' names with their scales."""
        return zip(self.rows, self.parameters["scale"])

    def outputs(self, x, padding=None):
        """The sum of the branches, each run on `x`."""
        p, k, s, g = self.parameters, self.k, self.stride, self.groups
        padding = k // 2 if padding is None else padding
        beside = padding - k // 2  # of a 1×1 kernel; what is negative cuts off

        def run(branch):
            match branch:
                case "kxk":
                    return F.conv2d(x, p["kxk"], None, s, padding, 1, g)
                case "1x1_avg":
                    return F.avg_pool2d(F.conv2d(x, p["1x1_avg"], groups=g), k, s, padding)
                case "prior":
                    return F.conv2d(F.conv2d(x, p["prior"], groups=g), self.basis[:, None], None, s, padding, 1, self.o)
                case "1x1_kxk":
                    first = p["1x1_kxk.a"] + identity(self.mid, self.i // g)
                    return F.conv2d(F.conv2d(x, first, groups=g), p["1x1_kxk.conv2"], None, s, padding, 1, g)
                case "1x1":
                    return F.conv2d(F.pad(x, [beside] * 4), p["1x1"], None, s, 0, 1, g)
                case "depthwise":
                    return F.conv2d(F.conv2d(x, p["depthwise"], None, s, padding, 1, self.i), p["pointwise"], groups=g)

        return sum(run(branch) * scale[:, None, None] for branch, scale in self.scaled())

    def kernel(self):
        """[o, i / g, k, k], composed in weight space."""
        p, k, g, n, per_group = self.parameters, self.k, self.groups, self.i // self.groups, self.o // self.groups
        middle = F.pad(torch.ones(1, 1, 1, 1, dtype=torch.float64), [k // 2] * 4)
        first = p["1x1_kxk.a"] + identity(self.mid, n)
        sequences, separable = [], []
        for group in range(g):
            outputs = slice(group * per_group, (group + 1) * per_group)
            inner = slice(group * self.mid // g, (group + 1) * self.mid // g)
            inputs = slice(EXPANSION * group * n, EXPANSION * (group + 1) * n)
            sequences.append(torch.einsum("omhw,mi->oihw", p["1x1_kxk.conv2"][outputs], first[inner, :, 0, 0]))
            depthwise = p["depthwise"][inputs, 0].unflatten(0, (n, EXPANSION))
            pointwise = p["pointwise"][outputs, :, 0, 0].unflatten(1, (n, EXPANSION))
            separable.append(torch.einsum("ithw,oit->oihw", depthwise, pointwise))
        kernels = {
            "kxk": p["kxk"],
            "1x1_avg": (p["1x1_avg"] / k**2).expand(-1, -1, k, k),
            "prior": p["prior"] * self.basis[:, None],
            "1x1_kxk": torch.cat(sequences),
            "1x1": p["1x1"] * middle if "1x1" in p else None,
            "depthwise": torch.cat(separable),
        }
        return sum(kernels[branch] * scale[:, None, None, None] for branch, scale in self.scaled())


def published_rows(pointwise, groups):
    """The published code stores the rows of a grouped pointwise kernel by their place in the group first, the group second."""
    return pointwise.unflatten(0, (groups, -1)).transpose(0, 1).flatten(0, 1)
