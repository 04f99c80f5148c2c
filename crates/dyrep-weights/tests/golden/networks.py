"""Narrow networks with torchvision's or timm's names, so that their files are small."""

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers


def narrow_resnet(classes, depths=(2, 2, 2, 2), width=4, block=BasicBlock):
    """torchvision's own network, all channels divided: what is named, and how it computes, is torchvision's."""
    net = ResNet(block, list(depths), num_classes=classes)
    shrink(net, 64 // width)
    return net


def narrow_vgg(classes, norms, width=4):
    multiples = [1, "M", 2, "M", 4, 4, "M", 8, 8, "M", 8, 8, "M"]
    net = VGG(make_layers([64 * m if m != "M" else m for m in multiples], norms), num_classes=classes, init_weights=False)
    shrink(net, 64 // width)
    return net


def shrink(module, by, keep=(3,)):
    """Divides the channels of every layer but the picture's and the classifier's last."""
    linears = [m for m in module.modules() if isinstance(m, nn.Linear)]
    last = linears[-1]
    for name, child in list(module.named_modules()):
        for part, layer in list(child.named_children()):
            if isinstance(layer, nn.Conv2d):
                i = layer.in_channels if layer.in_channels in keep else layer.in_channels // by
                o = layer.out_channels // by
                g = layer.groups if layer.groups == 1 else max(1, layer.groups // by)
                new = nn.Conv2d(i, o, layer.kernel_size, layer.stride, layer.padding, groups=g, bias=layer.bias is not None)
            elif isinstance(layer, nn.BatchNorm2d):
                new = nn.BatchNorm2d(layer.num_features // by)
            elif isinstance(layer, nn.Linear):
                o = layer.out_features if layer is last else layer.out_features // by
                new = nn.Linear(layer.in_features // by, o)
            else:
                continue
            setattr(child, part, new)


class Separable(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv_dw = nn.Conv2d(i, i, 3, stride, 1, groups=i, bias=False)
        self.bn1 = nn.BatchNorm2d(i)
        self.conv_pw = nn.Conv2d(i, o, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv_dw(x)))
        return F.relu(self.bn2(self.conv_pw(x)))


class MobileNetV1(nn.Module):
    """timm's names for `mobilenetv1_100`, with ReLU as in the paper."""

    def __init__(self, classes, width=4):
        super().__init__()
        self.conv_stem = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stages, i = [], width
        for multiple, pairs, stride in [(2, 1, 1), (4, 2, 2), (8, 2, 2), (16, 6, 2), (32, 2, 2)]:
            stage = []
            for at in range(pairs):
                stage.append(Separable(i, multiple * width, stride if at == 0 else 1))
                i = multiple * width
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(i, classes)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv_stem(x))))
        return self.classifier(x.mean([2, 3]))


def randomise(net, seed):
    """Norms as training leaves them, and weights whose outputs neither vanish nor explode."""
    g = torch.Generator().manual_seed(seed)

    def uniform(like, low, high):
        return torch.rand(like.shape, generator=g) * (high - low) + low

    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.weight.copy_(uniform(m.weight, 0.5, 1.5))
                m.bias.copy_(uniform(m.bias, -0.5, 0.5))
                m.running_mean.copy_(uniform(m.running_mean, -0.5, 0.5))
                m.running_var.copy_(uniform(m.running_var, 0.5, 2.0))
                m.num_batches_tracked.fill_(7)
            elif isinstance(m, (nn.Conv2d, nn.Linear)):
                fan_in = m.weight[0].numel()
                m.weight.copy_(torch.randn(m.weight.shape, generator=g) * (2 / fan_in) ** 0.5)
                if m.bias is not None:
                    m.bias.copy_(uniform(m.bias, -0.3, 0.3))
    return net.eval()
