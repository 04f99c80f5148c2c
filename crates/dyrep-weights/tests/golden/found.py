"""Writes the files of `found/`: weights as people keep them, with what lies beside them. python found.py (PyTorch 2.15, torchvision
0.29, safetensors 0.8).

One narrow ResNet-18, in half precision where the form allows it, so that all give the same logits; MobileNetV1 in three flavours
that no tensor tells apart; timm's VGG. `found/expected.safetensors` holds the inputs and what PyTorch makes of them.
"""

import argparse
import collections
import pathlib
import sys
import types

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from networks import MobileNetV1, narrow_resnet, narrow_vgg, randomise

OUT = pathlib.Path(__file__).parent / "found"
OUT.mkdir(exist_ok=True)
CLASSES = 10
torch.manual_seed(0)
INPUT = torch.randn(2, 3, 32, 32)
expected = {"input": INPUT}


def logits(net):
    with torch.no_grad():
        return net.eval()(INPUT).contiguous()


def halves(net):
    """The network whose weights half precision can hold."""
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return net


def half_state(net):
    return {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}


net = narrow_resnet(CLASSES, width=2)
randomise(net, 1)
halves(net)
state = half_state(net)
expected["resnet"] = logits(net)

# A configuration of yacs' kind, a dictionary with a default, keys of all types, a training's arguments, an object twice.
yacs = types.ModuleType("yacs.config")


class CfgNode(dict):
    pass


CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
yacs.CfgNode = CfgNode
sys.modules["yacs"], sys.modules["yacs.config"] = types.ModuleType("yacs"), yacs
config = CfgNode({"MODEL": CfgNode({"ARCH": "resnet18"}), "TRAIN": CfgNode({"EPOCHS": 120})})
config.__dict__["__immutable__"] = True
history = collections.defaultdict(list)
history["loss"] += [2.3, 1.1] * 500
beside = {
    "epoch": 3,
    "config": config,
    "history": history,
    "accuracy_at": {0.5: 91.0, (1, 2): 60.0, None: 1, True: 2, 7: 3},
    "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("/data"), names={"a", "b"}),
    "rng": torch.get_rng_state(),
    "huge": 1 << 200,
    "loop": [],
}
beside["loop"].append(beside["loop"])
torch.save({"model": state, "same": state, **beside}, OUT / "objects.pth")

# Protocols 0 and 4 of pickle in PyTorch's older form.
torch.save({"net": state, **beside}, OUT / "legacy_protocol_4.pth", _use_new_zipfile_serialization=False, pickle_protocol=4)

# Whole objects: a module, a compiled one, an optimiser, whose state has parameters as keys.
whole = narrow_resnet(CLASSES, width=2)
whole.load_state_dict(net.state_dict())
optimizer = torch.optim.SGD(whole.parameters(), 0.0, momentum=0.9)
whole(INPUT).sum().backward()
optimizer.step()
whole.load_state_dict(net.state_dict())
whole.half()
torch.save({"epoch": 3, "network": nn.DataParallel(whole), "optimizer": optimizer}, OUT / "whole.pth")

# Views: a transposed weight, two tensors in one storage, a part of a larger one.
views = dict(state)
views["fc.weight"] = state["fc.weight"].t().contiguous().t()
views["conv1.weight"] = state["conv1.weight"].to(memory_format=torch.channels_last)
both = torch.cat([state["bn1.weight"], state["bn1.bias"]])
views["bn1.weight"], views["bn1.bias"] = both[:2], both[2:]
torch.save(views, OUT / "views.pth")

# CIFAR's usual network: small stem, other names.
small = narrow_resnet(CLASSES, width=2)
small.conv1 = nn.Conv2d(3, 2, 3, 1, 1, bias=False)
small.maxpool = nn.Identity()
randomise(small, 2)
halves(small)
expected["cifar"] = logits(small)
names = {"module." + k.replace("downsample", "shortcut").replace("fc.", "linear."): v for k, v in half_state(small).items()}
torch.save({"net": names, "acc": 95.1, "epoch": 199}, OUT / "cifar.pth")

# timm's VGG: linear layers as convolutions.
vgg = narrow_vgg(CLASSES, True, width=1)
randomise(vgg, 3)
halves(vgg)
expected["timm_vgg"] = logits(vgg)
timm = {}
for k, v in half_state(vgg).items():
    v = v.view(v.shape[0], -1, 7, 7) if k == "classifier.0.weight" else v
    v = v.view(*v.shape, 1, 1) if k == "classifier.3.weight" else v
    k = k.replace("classifier.0", "pre_logits.fc1").replace("classifier.3", "pre_logits.fc2").replace("classifier.6", "head.fc")
    timm[k] = v.contiguous()
save_file(timm, OUT / "timm_vgg.safetensors")


class Flavour(MobileNetV1):
    """One whose activations are bounded, and whose norms add `eps`."""

    def __init__(self, bound, eps):
        super().__init__(CLASSES, width=2)
        self.bound = bound
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.eps = eps

    def forward(self, x):
        act = F.relu6 if self.bound else F.relu
        x = act(self.bn1(self.conv_stem(x)))
        for stage in self.blocks:
            for pair in stage:
                x = act(pair.bn2(pair.conv_pw(act(pair.bn1(pair.conv_dw(x))))))
        return self.classifier(x.mean([2, 3]))


# Activations reach 6, and variances are as small as what is added to them.
flavours = Flavour(True, 1e-5)
randomise(flavours, 4)
with torch.no_grad():
    for m in flavours.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_var.mul_(1e-2)
        elif isinstance(m, nn.Conv2d):
            m.weight.mul_(0.1)
halves(flavours)
save_file(half_state(flavours), OUT / "flavours.safetensors")
for name, bound, eps in [("relu", False, 1e-5), ("relu6", True, 1e-5), ("relu6_eps", True, 1e-3)]:
    other = Flavour(bound, eps)
    other.load_state_dict(flavours.state_dict())
    expected[name] = logits(other)
    print(name, expected[name].abs().max().item())
save_file(expected, OUT / "expected.safetensors")
