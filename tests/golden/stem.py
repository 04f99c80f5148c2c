"""Writes `stem_orepa.safetensors`: OREPA's deep stem (arXiv 2204.00826, section 3.3), 3×3 blocks in sequence that are one 7×7
convolution. python tests/golden/stem.py (PyTorch 2.15, safetensors 0.8).

Written from the mathematics; nothing here is anybody's code. The layers in sequence are computed BRANCH BY BRANCH ON THE INPUT,
which is padded once, in double precision; a kernel composed in weight space has to agree. `published.*` is by the published
composition: input channels as the batch, a plain convolution of the kernel so far with the next, padded by two.

Names are those of the layer's parameters. What is drawn is in single precision exactly, what is computed rounded to it once.
"""

import math
import pathlib

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
EPSILON = 1e-5
AGREE = 1e-10  # absolute; outputs are of the order of 10
INPUTS, OUTPUTS, KERNEL, STRIDE, TIMES = 3, 4, 7, 2, 8

stored = {}


def draw(*shape, scale=1.0, around=0.0):
    return (torch.randn(shape) * scale + around).float().double()


def keep(name, tensor):
    assert name not in stored, name
    stored[name] = tensor.detach().float().contiguous()


def agree(what, a, b):
    difference = (a - b).abs().max().item()
    assert a.shape == b.shape and difference < AGREE, (what, a.shape, b.shape, difference)


class Layer:
    """A 3×3 block without norms, each branch ending in a scale for each output channel."""

    def __init__(self, i, o, stride):
        self.i, self.o, self.stride = i, o, stride
        taps = {
            "kxk.conv": draw(o, i, 3, 3, scale=0.4),
            "1x1_avg.conv": draw(o, i, 1, 1),
            "1x1_prior.conv": draw(o, i, 1, 1),
            "id1x1_kxk.conv1": draw(i, i, 1, 1, scale=0.4),
            "id1x1_kxk.conv2": draw(o, i, 3, 3, scale=0.4),
            "1x1.conv": draw(o, i, 1, 1),
            "dw_1x1.conv1": draw(TIMES * i, 1, 3, 3, scale=0.4),
            "dw_1x1.conv2": draw(o, TIMES * i, 1, 1, scale=0.3),
        }
        self.parameters = {f"{name}.weight": weight.requires_grad_() for name, weight in taps.items()}
        for name in ["kxk", "1x1_avg", "1x1_prior", "id1x1_kxk", "1x1", "dw_1x1"]:
            self.parameters[f"{name}.scale"] = draw(o, scale=0.5).requires_grad_()
        # Cosines: along the rows in the first half of the channels, along the columns in the others.
        self.waves = torch.zeros(o, 1, 3, 3, dtype=torch.float64)
        for channel in range(o):
            for y in range(3):
                for x in range(3):
                    along, frequency = (y, channel + 1) if channel < o / 2 else (x, channel + 1 - o / 2)
                    self.waves[channel, 0, y, x] = math.cos(math.pi * (along + 0.5) * frequency / 3)

    def first(self):
        return self.parameters["id1x1_kxk.conv1.weight"] + torch.eye(self.i, dtype=torch.float64)[:, :, None, None]

    def outputs(self, x):
        """The sum of the branches on `x`, none of which pads."""
        p, s = self.parameters, self.stride
        branches = {
            "kxk": F.conv2d(x, p["kxk.conv.weight"], stride=s),
            "1x1_avg": F.avg_pool2d(F.conv2d(x, p["1x1_avg.conv.weight"]), 3, s),
            "1x1_prior": F.conv2d(F.conv2d(x, p["1x1_prior.conv.weight"]), self.waves, stride=s, groups=self.o),
            "id1x1_kxk": F.conv2d(F.conv2d(x, self.first()), p["id1x1_kxk.conv2.weight"], stride=s),
            "1x1": F.conv2d(x[:, :, 1:-1, 1:-1], p["1x1.conv.weight"], stride=s),
            "dw_1x1": F.conv2d(
                F.conv2d(x, p["dw_1x1.conv1.weight"], stride=s, groups=self.i), p["dw_1x1.conv2.weight"]
            ),
        }
        return sum(y * p[f"{name}.scale"][:, None, None] for name, y in branches.items())

    def kernel(self):
        """The same in weight space, `[o, i, 3, 3]`."""
        p = self.parameters
        depthwise = p["dw_1x1.conv1.weight"][:, 0].unflatten(0, (self.i, TIMES))
        pointwise = p["dw_1x1.conv2.weight"][:, :, 0, 0].unflatten(1, (self.i, TIMES))
        kernels = {
            "kxk": p["kxk.conv.weight"],
            "1x1_avg": p["1x1_avg.conv.weight"] / 9,
            "1x1_prior": p["1x1_prior.conv.weight"] * self.waves,
            "id1x1_kxk": torch.einsum("omyx,mi->oiyx", p["id1x1_kxk.conv2.weight"], self.first()[:, :, 0, 0]),
            "1x1": F.pad(p["1x1.conv.weight"], [1] * 4),
            "dw_1x1": torch.einsum("ityx,oit->oiyx", depthwise, pointwise),
        }
        return sum(kernel * p[f"{name}.scale"][:, None, None, None] for name, kernel in kernels.items())


def in_sequence(kernels):
    """The one kernel of layers in sequence, tap by tap."""
    composed = kernels[0]
    for kernel in kernels[1:]:
        taps = [(u, v) for u in range(3) for v in range(3)]
        shifted = lambda u, v: F.pad(torch.einsum("om,miyx->oiyx", kernel[:, :, u, v], composed), [v, 2 - v, u, 2 - u])
        composed = sum(shifted(u, v) for u, v in taps)
    return composed


def published(kernels):
    """The published composition."""
    composed = kernels[0].transpose(0, 1)
    for kernel in kernels[1:]:
        composed = F.conv2d(composed, kernel, padding=2)
    return composed.transpose(0, 1)


def main():
    torch.manual_seed(0)
    layers = [Layer(INPUTS, OUTPUTS, 1), Layer(OUTPUTS, OUTPUTS, 1), Layer(OUTPUTS, OUTPUTS, STRIDE)]
    assert 2 * len(layers) + 1 == KERNEL
    parameters = {f"{at}.{name}": value for at, layer in enumerate(layers) for name, value in layer.parameters.items()}
    x = draw(2, INPUTS, 9, 8).requires_grad_()
    norm = {
        "weight": draw(OUTPUTS, scale=0.3, around=1.0),
        "bias": draw(OUTPUTS, scale=0.5),
        "running_mean": draw(OUTPUTS),
        "running_var": draw(OUTPUTS, scale=0.5).abs() + 0.25,
    }
    keep("x", x)
    for name, value in [*parameters.items(), *((f"bn.{name}", value) for name, value in norm.items())]:
        keep(f"param.{name}", value)
    # The norm's variance as it is stored: the sum above is not of single precision.
    norm = {name: stored[f"param.bn.{name}"].double() for name in norm}
    gain = norm["weight"] / torch.sqrt(norm["running_var"] + EPSILON)

    kernels = [layer.kernel() for layer in layers]
    y = F.pad(x, [KERNEL // 2] * 4)
    for layer in layers:
        y = layer.outputs(y)
    conv = lambda kernel: F.conv2d(x, kernel, stride=STRIDE, padding=KERNEL // 2)
    agree("outputs", y, conv(in_sequence(kernels)))
    grad_y = draw(*y.shape)
    keep("grad_y", grad_y)
    wanted = {"x": x, **parameters}
    for before, y, kernel in [
        ("", y, in_sequence(kernels)),
        ("published.", conv(published(kernels)), published(kernels)),
    ]:
        gradients = torch.autograd.grad((y * grad_y).sum(), list(wanted.values()), retain_graph=True)
        if not before:
            again = torch.autograd.grad((conv(kernel) * grad_y).sum(), list(wanted.values()), retain_graph=True)
            for name, one, other in zip(wanted, gradients, again):
                agree(f"gradient of {name}", one, other)
        for name, gradient in zip(wanted, gradients):
            keep(f"{before}grad.{name}", gradient)
        normed = F.batch_norm(y, norm["running_mean"], norm["running_var"], norm["weight"], norm["bias"], eps=EPSILON)
        fused = kernel * gain[:, None, None, None]
        bias = norm["bias"] - norm["running_mean"] * gain
        agree("fused", normed, conv(fused) + bias[:, None, None])
        for name, value in [("kernel", kernel), ("y", y), ("eval.y", normed), ("fused.weight", fused), ("fused.bias", bias)]:
            keep(before + name, value)
    difference = (stored["y"] - stored["published.y"]).abs().max() / stored["y"].abs().max()
    print(f"the published composition differs by {difference:.2f} of the largest output, {stored['y'].abs().max():.1f}")
    save_file(stored, HERE / "stem_orepa.safetensors")


if __name__ == "__main__":
    main()
