"""Networks of the measurements in plain PyTorch, as torchvision has them; blocks stand for their 3×3 convolutions.

Shared by `vs_pytorch/peer.py` and `gpu/peer.py`.
"""

import torch
from torch import nn
from torch.nn import functional as F

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


def downsample(inputs, outputs, stride):
    """What makes a shortcut fit; none where it does."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, branches):
        super().__init__()
        self.conv1 = conv3x3(inputs, outputs, stride, branches)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs, 1, branches)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = downsample(inputs, outputs, stride)

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """1×1, 3×3 with the stride, 1×1 to four times the channels."""

    def __init__(self, inputs, middle, stride, branches):
        super().__init__()
        outputs = 4 * middle
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = conv3x3(middle, middle, stride, branches)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = downsample(inputs, outputs, stride)

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return F.relu(self.bn3(self.conv3(x)) + shortcut, inplace=True)


def resnet(block, expansion, depths, branches):
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for channels, depth in zip((64, 128, 256, 512), depths):
        for index in range(depth):
            stride = 2 if index == 0 and channels > 64 else 1
            layers.append(block(inputs, channels, stride, branches))
            inputs = channels * expansion
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def resnet18(branches):
    return resnet(BasicBlock, 1, (2, 2, 2, 2), branches)


def resnet50(branches):
    return resnet(Bottleneck, 4, (3, 4, 6, 3), branches)


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
