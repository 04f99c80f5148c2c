"""Writes the files that the tests of `dyrep-weights` read: python make.py (PyTorch 2.15, torchvision 0.29, timm 1.0.31, safetensors 0.8).

Random weights, norms as training leaves them, networks that are torchvision's or timm's own made narrow, or stated anew in
published.py and networks.py. `expected.safetensors` holds one batch, `input`, and what PyTorch makes of it, by the file's name.
"""

import pathlib

import torch
from safetensors.torch import save_file
from timm.models import byobnet
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.utils.model import reparameterize_model
from torch import nn
from torchvision.models.resnet import Bottleneck

from networks import MobileNetV1, narrow_resnet, narrow_vgg, randomise
from published import RepVgg, dbb, dyrep

HERE = pathlib.Path(__file__).parent
CLASSES = 10
ALL = ["1x1", "1x1_kxk", "1x1_avg", "kxk", "1xk", "kx1", "identity"]

torch.manual_seed(0)
INPUT = torch.randn(2, 3, 32, 32)
expected = {"input": INPUT}


def logits(net):
    with torch.no_grad():
        return net.eval()(INPUT).contiguous()


def place(net, path, make):
    """Replaces the convolution at `path` by what `make` makes of it."""
    parent, name = path.rsplit(".", 1) if "." in path else ("", path)
    parent = net.get_submodule(parent)
    setattr(parent, name, make(getattr(parent, name)))


def rounded(net, dtype):
    """The network whose weights are those that a file of `dtype` can hold; whole numbers stay."""
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(dtype))
    return net


def state(net, dtype=torch.float32):
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in net.state_dict().items()}


def fuse(conv, norm):
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return conv.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


def probed(unit, conv):
    """The convolution that `unit` is, found by looking at what it makes of zero and of single pixels."""
    i, k = conv.in_channels, conv.kernel_size[0]
    side, at = 8 * k, 4 * k  # `at` is a multiple of the stride
    plain = nn.Conv2d(i, conv.out_channels, k, conv.stride, conv.padding, groups=conv.groups, bias=True)
    with torch.no_grad():
        zero = unit(torch.zeros(1, i, side, side))
        plain.bias.copy_(zero[0, :, zero.shape[2] // 2, zero.shape[3] // 2])
        for y in range(k):
            for x in range(k):
                for channel in range(i):
                    one = torch.zeros(1, i, side, side)
                    one[0, channel, at - conv.padding[0] + y, at - conv.padding[1] + x] = 1
                    out = unit(one)[0, :, at // conv.stride[0], at // conv.stride[1]] - plain.bias
                    plain.weight[:, channel, y, x] = out
    return plain


def published_dbb(tensors, deployed=False):
    """torchvision's names of a ResNet as the published DBB code has them."""
    def rename(name):
        parts = name.split(".")
        if parts[0] == "fc":
            return ".".join(["linear", *parts[1:]])
        if parts[0] in ("conv1", "bn1"):
            return ".".join(["stage0.conv1", "conv" if parts[0] == "conv1" else "bn", *parts[1:]])
        unit, rest = parts[2], parts[3:]
        if unit == "downsample":
            unit, rest = "shortcut", ["conv" if rest[0] == "0" else "bn", *rest[1:]]
        elif unit.startswith("bn"):
            unit, rest = "conv" + unit[2:], ["bn", *rest]
        elif not rest[0].startswith("dbb_"):
            rest = ["dbb_reparam" if deployed else "conv", *rest]
        return ".".join([parts[0].replace("layer", "stage"), parts[1], unit, *rest])

    return {rename(name): tensor for name, tensor in tensors.items()}


def published_dbb_mobilenet(tensors):
    """timm's names of a MobileNetV1 as the published DBB code has them."""
    first = [0, 1, 3, 5, 11]

    def rename(name):
        parts = name.split(".")
        if parts[0] == "classifier":
            return ".".join(["linear", *parts[1:]])
        if parts[0] in ("conv_stem", "bn1"):
            return ".".join(["conv1", *(["bn"] if parts[0] == "bn1" else []), *parts[1:]])
        _, stage, block, unit, *rest = parts
        part = "depthwise" if unit in ("conv_dw", "bn1") else "pointwise"
        inner = ["bn"] if unit.startswith("bn") else ["conv"] if unit == "conv_pw" else []
        return ".".join(["stem", str(first[int(stage)] + int(block)), part, *inner, *rest])

    return {rename(name): tensor for name, tensor in tensors.items()}


def main():
    # torchvision's ResNet in what a training script saves: keys around, `module.` in front.
    net = randomise(narrow_resnet(CLASSES), 1)
    wrapped = {"module." + name: tensor for name, tensor in state(net).items()}
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 3, "arch": "resnet", "state_dict": wrapped, "optimizer": optimizer}, HERE / "resnet_wrapped.pth")
    expected["resnet_wrapped.pth"] = logits(net)

    # Bottlenecks, half precision, with the counters.
    net = rounded(randomise(narrow_resnet(CLASSES, depths=(3, 4, 6, 3), block=Bottleneck, width=2), 2), torch.float16)
    save_file(state(net, torch.float16), HERE / "bottleneck_f16.safetensors")
    expected["bottleneck_f16.safetensors"] = logits(net)

    # VGG with norms, bf16, in the pickles of PyTorch 1.5.
    net = rounded(randomise(narrow_vgg(CLASSES, True, width=2), 3), torch.bfloat16)
    torch.save(state(net, torch.bfloat16), HERE / "vgg_bn_bf16_legacy.pt", _use_new_zipfile_serialization=False)
    expected["vgg_bn_bf16_legacy.pt"] = logits(net)

    # MobileNetV1 in double precision.
    net = randomise(MobileNetV1(CLASSES, width=2), 4)
    save_file(state(net, torch.float64), HERE / "mobilenet_f64.safetensors")
    expected["mobilenet_f64.safetensors"] = logits(net)

    # DyRep: grown here and there, nested, one block deployed; beside it an average of another seed.
    def grown(seed):
        net = narrow_resnet(CLASSES)
        inner = lambda conv: dyrep(conv, ["1x1", "kx1", "identity"])
        second = lambda conv: dyrep(conv, ["1x1_avg", "1x1_kxk"])
        place(net, "conv1", lambda conv: dyrep(conv, ALL))
        place(net, "layer1.0.conv1", lambda conv: dyrep(conv, ALL, inner=inner))
        place(net, "layer2.0.conv1", lambda conv: dyrep(conv, ALL, inner_second=second))
        place(net, "layer3.0.conv2", lambda conv: dyrep(conv, ["1xk"]))
        net.layer4[0].conv1 = nn.Conv2d(16, 32, 3, 2, 1, bias=True)
        return randomise(net, seed)

    def names(net):
        # What the published code calls a block that it deployed.
        return {name.replace("layer4.0.conv1.", "layer4.0.conv1.dbb_reparam."): t for name, t in net.state_dict().items()}

    net, average = rounded(grown(5), torch.float16), rounded(grown(6), torch.float16)
    half = lambda tensors: {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    shadow = {"n_averaged": torch.tensor(9)} | {"module." + name: t for name, t in half(names(average)).items()}
    torch.save({"epoch": 1, "model": half(names(net)), "model_ema": shadow}, HERE / "dyrep.pth")
    expected["dyrep.pth"] = logits(net)
    expected["dyrep.pth/average"] = logits(average)

    # DBB in every 3×3.
    net = narrow_resnet(CLASSES)
    for path, module in list(net.named_modules()):
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            place(net, path, dbb)
    net = rounded(randomise(net, 7), torch.float16)
    save_file(state(net, torch.float16), HERE / "dbb_f16.safetensors")
    expected["dbb_f16.safetensors"] = logits(net)

    # DBB in depthwise convolutions.
    net = MobileNetV1(CLASSES, width=2)
    for path in ["conv_stem", "blocks.0.0.conv_dw", "blocks.1.0.conv_dw", "blocks.1.1.conv_dw"]:
        place(net, path, dbb)
    net = rounded(randomise(net, 8), torch.float16)
    torch.save(state(net, torch.float16), HERE / "dbb_mobilenet_f16.pth")
    expected["dbb_mobilenet_f16.pth"] = logits(net)

    # The networks of the published DBB code: a block stands for a convolution and its norm. Training form and deployed.
    net = narrow_resnet(CLASSES, width=2)
    for path, module in list(net.named_modules()):
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            place(net, path, dbb)
            place(net, path.replace("conv", "bn"), lambda norm: nn.Identity())
    net = rounded(randomise(net, 11), torch.float16)
    save_file(published_dbb(state(net, torch.float16)), HERE / "dbb_resnet_f16.safetensors")
    expected["dbb_resnet_f16.safetensors"] = logits(net)
    for path, module in list(net.named_modules()):
        norm = path.replace("conv", "bn").replace("downsample.0", "downsample.1")
        if isinstance(module, nn.Conv2d) and norm in dict(net.named_modules()) and norm != path:
            place(net, path, lambda conv: probed(nn.Sequential(conv, net.get_submodule(norm)), conv))
            place(net, norm, lambda norm: nn.Identity())
        elif hasattr(module, "dbb_origin"):
            place(net, path, lambda block: probed(block, block.dbb_origin.conv))
    save_file(published_dbb(state(net), True), HERE / "dbb_resnet_deployed.safetensors")
    net = MobileNetV1(CLASSES, width=2)
    names = [path for path, module in net.named_modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)]
    for path in names:
        place(net, path, dbb)
        place(net, path.replace("conv_stem", "bn1").replace("conv_dw", "bn1"), lambda norm: nn.Identity())
    net = rounded(randomise(net, 12), torch.float16)
    save_file(published_dbb_mobilenet(state(net, torch.float16)), HERE / "dbb_mobile_f16.safetensors")
    expected["dbb_mobile_f16.safetensors"] = logits(net)

    # RepVGG-B1g2 as published, training form and deployed; every second block in two groups.
    net = RepVgg(2, (4, 6, 16, 1), (4, 8, 16, 64), CLASSES, groups=2)
    net = rounded(randomise(net, 9), torch.float16)
    torch.save({"state_dict": state(net, torch.float16)}, HERE / "repvgg_f16.pth")
    expected["repvgg_f16.pth"] = logits(net)
    deployed = {}
    for path in dict.fromkeys(n.split(".rbr")[0] for n in net.state_dict() if ".rbr" in n):
        block = net.get_submodule(path)
        weight, bias = fuse(block.rbr_dense.conv, block.rbr_dense.bn)
        one, more = fuse(block.rbr_1x1.conv, block.rbr_1x1.bn)
        weight = weight + nn.functional.pad(one, [1, 1, 1, 1])
        bias = bias + more
        if hasattr(block, "rbr_identity"):
            identity = nn.Conv2d(weight.shape[0], weight.shape[0], 3, groups=block.rbr_dense.conv.groups, bias=False)
            identity.weight.data.zero_()
            rows = torch.arange(weight.shape[0])
            identity.weight.data[rows, rows % identity.weight.shape[1], 1, 1] = 1
            more_weight, more = fuse(identity, block.rbr_identity)
            weight, bias = weight + more_weight, bias + more
        deployed[path + ".rbr_reparam.weight"] = weight.detach().half()
        deployed[path + ".rbr_reparam.bias"] = bias.detach().half()
    deployed |= {k: v.half() for k, v in net.state_dict().items() if k.startswith("linear")}
    save_file(deployed, HERE / "repvgg_deployed_f16.safetensors")

    # timm's RepVGG-A0, built by timm, which otherwise makes channels multiples of 8.
    byobnet.make_divisible = int
    blocks = tuple(ByoBlockCfg("rep", d=d, c=c, s=2, gs=0) for d, c in [(2, 3), (4, 6), (14, 12), (1, 80)])
    config = ByoModelCfg(blocks=blocks, stem_type="rep", stem_chs=3)
    net = rounded(randomise(ByobNet(config, num_classes=CLASSES), 10), torch.float16)
    save_file(state(net, torch.float16), HERE / "timm_repvgg_f16.safetensors")
    expected["timm_repvgg_f16.safetensors"] = logits(net)
    net = rounded(reparameterize_model(net), torch.float16)
    save_file(state(net, torch.float16), HERE / "timm_repvgg_deployed_f16.safetensors")
    expected["timm_repvgg_deployed_f16.safetensors"] = logits(net)

    save_file(expected, HERE / "expected.safetensors")
    total = sum(file.stat().st_size for file in HERE.iterdir() if file.suffix in (".pth", ".pt", ".safetensors"))
    for name, tensor in expected.items():
        print(f"{name:40} {tuple(tensor.shape)} largest {tensor.abs().max():.3g}")
    print(f"{total / 1e6:.2f} MB")


main()
