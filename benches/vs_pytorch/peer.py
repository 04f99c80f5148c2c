"""The PyTorch side of `cargo bench --bench vs_pytorch`: the same networks in plain PyTorch.

Reads one JSON object a line and answers with one: {"model", "branches", "batch", "size"} builds a case,
{"do": "step"} times a training step, {"do": "infer"} a forward pass, {"do": "peak"} says the peak resident
memory. Two threads, float32, the CPU.
"""

import json
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(2)

PRESETS = {
    "plain": [],
    "dbb": ["1x1", "1x1_kxk", "1x1_avg"],
    "dyrep": ["1x1", "1x1_kxk", "1x1_avg", "1xk", "kx1", "identity"],
    "mobileone": ["kxk", "kxk", "kxk", "1x1", "identity"],
    "unireplknet": [(5, 1), (7, 2), (3, 3), (3, 4), (3, 5)],
    "csla": "scales",
}


class PaddedNorm(nn.BatchNorm2d):
    """A batch norm whose output is padded with its image of zero."""

    def __init__(self, channels, pad):
        super().__init__(channels)
        self.pad = pad

    def forward(self, x):
        y = super().forward(x)
        if self.pad == 0:
            return y
        scale = self.weight.detach() / torch.sqrt(self.running_var + self.eps)
        border = self.bias.detach() - self.running_mean * scale
        size = [y.shape[0], y.shape[1], y.shape[2] + 2 * self.pad, y.shape[3] + 2 * self.pad]
        padded = border.view(1, -1, 1, 1).expand(size).clone()
        padded[:, :, self.pad:-self.pad, self.pad:-self.pad] = y
        return padded


class Block(nn.Module):
    """A k×k convolution and the branches beside it, each ending in a batch norm, summed."""

    def __init__(self, inputs, outputs, kernel, stride, groups, branches):
        super().__init__()
        pad = kernel // 2

        def conv(channels, size, step, padding, bias=False):
            return nn.Conv2d(*channels, size, step, padding, groups=groups, bias=bias)

        def norm():
            return nn.BatchNorm2d(outputs)

        both = (inputs, outputs)
        made = [nn.Sequential(conv(both, kernel, stride, pad, bias=True), norm())]
        for name in branches:
            if name == "1x1":
                made.append(nn.Sequential(conv(both, 1, stride, 0), norm()))
            elif name == "1x1_kxk":
                first = conv((inputs, inputs), 1, 1, 0)
                made.append(nn.Sequential(
                    first, PaddedNorm(inputs, pad), conv(both, kernel, stride, 0), norm()))
            elif name == "1x1_avg" and groups == inputs == outputs:
                made.append(nn.Sequential(nn.AvgPool2d(kernel, stride, pad), norm()))
            elif name == "1x1_avg":
                made.append(nn.Sequential(
                    conv(both, 1, 1, 0), PaddedNorm(outputs, pad), nn.AvgPool2d(kernel, stride), norm()))
            elif name == "1xk":
                made.append(nn.Sequential(conv(both, (1, kernel), stride, (0, pad)), norm()))
            elif name == "kx1":
                made.append(nn.Sequential(conv(both, (kernel, 1), stride, (pad, 0)), norm()))
            elif name == "identity" and inputs == outputs and stride == 1:
                made.append(norm())
            elif name == "kxk":
                made.append(nn.Sequential(conv(both, kernel, stride, pad), norm()))
            elif isinstance(name, tuple):
                size, step = name
                dilated = nn.Conv2d(inputs, outputs, size, stride, size // 2 * step, step, groups, False)
                made.append(nn.Sequential(dilated, norm()))
        self.branches = nn.ModuleList(made)

    def forward(self, x):
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return total


class Scaled(nn.Module):
    """CSLA's block: constants times 3×3 and 1×1, and the input times a learnt scale; no norms."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv3 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.register_buffer("scales", torch.ones(2, 1, outputs, 1, 1))
        self.identity = None
        if inputs == outputs and stride == 1:
            self.identity = nn.Parameter(torch.ones(1, outputs, 1, 1))

    def forward(self, x):
        y = self.scales[0] * self.conv3(x) + self.scales[1] * self.conv1(x)
        return y if self.identity is None else y + self.identity * x


class Layer(nn.Module):
    """One depthwise convolution whose maps' means are classified."""

    def __init__(self, kernel, channels, branches):
        super().__init__()
        self.conv = Block(channels, channels, kernel, 1, channels, branches)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


def conv3x3(inputs, outputs, stride, branches, groups=1):
    if branches == "scales":
        return Scaled(inputs, outputs, stride)
    if branches:
        return Block(inputs, outputs, 3, stride, groups, branches)
    return nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, branches):
        super().__init__()
        self.conv1 = conv3x3(inputs, outputs, stride, branches)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs, 1, branches)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


def resnet18(branches):
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs in (64, 128, 256, 512):
        layers.append(BasicBlock(inputs, outputs, 1 if outputs == 64 else 2, branches))
        layers.append(BasicBlock(outputs, outputs, 1, branches))
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def mobilenet_v1(branches):
    layers = [conv3x3(3, 32, 2, branches), nn.BatchNorm2d(32), nn.ReLU(inplace=True)]
    inputs = 32
    rows = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    for outputs, stride in rows + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]:
        layers += [
            conv3x3(inputs, inputs, stride, branches, inputs), nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True), nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000))


class Case:
    def __init__(self, model, branches, batch, size):
        torch.manual_seed(0)
        build = {
            "resnet18": resnet18, "mobilenet_v1": mobilenet_v1,
            "depthwise_13x13": lambda branches: Layer(13, 128, branches)}[model]
        self.net = build(PRESETS[branches])
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
        self.x = torch.randn(batch, 128 if model == "depthwise_13x13" else 3, size, size)
        self.y = torch.randint(1000, (batch,))

    def step(self):
        self.net.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.net(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def infer(self):
        self.net.eval()
        with torch.inference_mode():
            return self.net(self.x)[0, 0].item()


def main():
    case = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("do") == "peak":
            answer = {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        elif "do" in asked:
            started = time.perf_counter()
            {"step": case.step, "infer": case.infer}[asked["do"]]()
            answer = {"seconds": time.perf_counter() - started}
        else:
            case = Case(**asked)
            answer = {"torch": torch.__version__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
