"""Three training steps of a small RetinaNet put together from torchvision's parts: `steps.json`, for `../steps.rs`.

Needs torch and torchvision: `python crates/dyrep-dense/tests/golden/steps.py`, from any folder (made with Python 3.11,
PyTorch 2.15, torchvision 0.29, on a CPU). Parameters start as a formula of their names' order and their places, pictures
are a formula, too; both are in the test. In float64, but for boxes.
"""

import json
import math
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torchvision.models.detection import _utils, retinanet
from torchvision.models.detection.image_list import ImageList
from torchvision.models.resnet import BasicBlock
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops import boxes as box_ops
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

CLASSES, CHANNELS, WIDTH = 3, 32, 8
HEIGHT, BREADTH = 64, 96
PICTURES = [
    ([[3.0, 5.0, 40.0, 43.0], [50.5, 10.0, 90.0, 44.25]], [0, 2]),
    ([[10.0, 8.0, 74.0, 60.0]], [1]),
]


class Body(nn.Module):
    """ResNet-18 of width 8, with one block a stage."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = WIDTH
        for stage in range(4):
            outputs, stride = WIDTH << stage, 1 if stage == 0 else 2
            shortcut = None
            if stride != 1:
                shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )
            block = BasicBlock(inputs, outputs, stride, shortcut)
            setattr(self, f"layer{stage + 1}", nn.Sequential(block))
            inputs = outputs

    def forward(self, x):
        x = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        stages = OrderedDict()
        for number, layer in enumerate([self.layer2, self.layer3, self.layer4]):
            x = layer(x)
            stages[str(number)] = x
        return stages


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = Body()
        self.fpn = FeaturePyramidNetwork(
            [WIDTH << 1, WIDTH << 2, WIDTH << 3], CHANNELS, LastLevelP6P7(CHANNELS, CHANNELS)
        )

    def forward(self, x):
        return list(self.fpn(self.body(x)).values())


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        self.head = retinanet.RetinaNetHead(CHANNELS, 9, CLASSES)

    def forward(self, x):
        maps = self.backbone(x)
        return maps, self.head(maps)


def start(network):
    """As in the test: by the order of names and by what a parameter is."""
    named = sorted(network.named_parameters())
    for salt, (name, parameter) in enumerate(named):
        count = parameter.numel()
        wave = [math.sin(12.9 * i + 7.3 * (salt + 1)) for i in range(count)]
        wave = torch.tensor(wave, dtype=torch.float64).reshape(parameter.shape)
        if parameter.dim() == 4:
            value = wave * math.sqrt(2.0 / parameter[0].numel())
        elif name.endswith("weight"):
            value = 1.0 + 0.3 * wave
        else:
            value = 0.1 * wave
        parameter.data.copy_(value)


def pictures():
    count = len(PICTURES) * 3 * HEIGHT * BREADTH
    values = [math.sin(0.37 * i + math.sqrt(i)) for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).reshape(len(PICTURES), 3, HEIGHT, BREADTH)


def targets():
    return [
        {"boxes": torch.tensor(boxes), "labels": torch.tensor(labels)} for boxes, labels in PICTURES
    ]


def anchors_of(generator, maps):
    images = ImageList(torch.zeros(1, 3, HEIGHT, BREADTH), [(HEIGHT, BREADTH)])
    return generator(images, [m.float()[:1] for m in maps])[0]


def losses_of(network, x):
    maps, outputs = network(x)
    anchors = anchors_of(retinanet._default_anchorgen(), maps)
    matcher = _utils.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    matched = [matcher(box_ops.box_iou(t["boxes"], anchors)) for t in targets()]
    return network.head.compute_loss(targets(), outputs, [anchors] * len(PICTURES), matched)


def steps(network):
    network.double().train()
    start(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.002, momentum=0.9, weight_decay=1e-4)
    x, all_losses = pictures(), []
    for _ in range(3):
        losses = losses_of(network, x)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        all_losses.append([float(loss) for loss in losses.values()])
    parameters = {
        name: [float(p.detach().sum()), float(p.detach().abs().sum())]
        for name, p in sorted(network.named_parameters())
    }
    statistics = {
        name: float(b.sum()) for name, b in sorted(network.named_buffers()) if "running" in name
    }
    return {"losses": all_losses, "parameters": parameters, "statistics": statistics}


found = steps(Detector())
Path(__file__).with_name("steps.json").write_text(json.dumps(found, indent=0) + "\n")
