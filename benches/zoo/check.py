"""Networks of timm and torchvision, with random weights and statistics, through the program `dyrep` and back.

    python check.py DYREP [NAME …]   # the program; needs torch, torchvision, timm, onnxruntime, safetensors

Then training forms in the names of published code, made of timm's networks: read, deployed without a recipe, and the same.

For each network: its logits on random pictures against `dyrep predict` of the file that `torch.save` makes; the same of the
deployed file, and of what timm makes by `reparameterize_model`; the deployed file loaded with `strict=True`; its ONNX form in
onnxruntime. Differences are told of the largest logit, and must be below 1e-4, or, where a network makes much of rounding,
below three times what PyTorch's own `f32` differs from its `f64` by.
"""

import copy
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import onnxruntime
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from timm.utils.model import reparameterize_model

TOLERANCE = 1e-4
# Name here, who makes it, whether timm's re-parameterised module is what is deployed to, options of the program.
NETWORKS = [
    ("mobileone_s0", timm.create_model, True, []),
    ("mobileone_s1", timm.create_model, True, []),
    ("mobileone_s4", timm.create_model, True, []),
    ("repvit_m0_9", timm.create_model, True, []),
    ("repvit_m1_5", timm.create_model, True, []),
    ("repvit_m2_3", timm.create_model, True, []),
    ("resnet18d", timm.create_model, False, []),
    ("resnet50d", timm.create_model, False, []),
    ("wide_resnet50_2", timm.create_model, False, []),
    ("mobilenet_v2", torchvision.models.get_model, False, []),
    ("mobilenetv2_100", timm.create_model, None, []),
    ("mobilenetv2_140", timm.create_model, None, []),
]


class QuantisationAware(torch.nn.Module):
    """QARepVGG's block (arXiv 2212.01593, figure 3): no norms in two branches, one behind the sum."""

    def __init__(self, unit):
        super().__init__()
        self.rbr_dense = unit.conv_kxk
        self.rbr_1x1 = unit.conv_1x1.conv
        self.rbr_identity = torch.nn.Identity() if unit.identity is not None else None
        self.bn = torch.nn.BatchNorm2d(unit.conv_kxk.conv.out_channels)

    def forward(self, x):
        total = self.rbr_dense(x) + self.rbr_1x1(x)
        if self.rbr_identity is not None:
            total = total + x
        return torch.relu(self.bn(total))


def qarepvgg(name, **options):
    network = timm.create_model(name, **options)
    network.stem = QuantisationAware(network.stem)
    for stage in network.stages:
        for at, unit in enumerate(stage):
            stage[at] = QuantisationAware(unit)
    return network


def largest(logits, wanted):
    return float((logits - wanted).abs().max() / wanted.abs().max())


def limit(network, pictures, wanted):
    """What differences may be, and how far rounding alone goes."""
    with torch.no_grad():
        rounding = largest(wanted, copy.deepcopy(network).double()(pictures.double()).float())
    return max(TOLERANCE, 3 * rounding), rounding


def renamed(tensors, rules):
    for pattern, text in rules:
        tensors = {re.sub(pattern, text, name): tensor for name, tensor in tensors.items()}
    return tensors


STAGES = [
    (r"^stem\.", "stage0."),
    (r"^stages\.(\d+)\.", lambda found: f"stage{int(found[1]) + 1}."),
    (r"^head\.fc\.", "linear."),
]
REPVGG = [("conv_kxk", "rbr_dense"), ("conv_1x1", "rbr_1x1"), ("identity", "rbr_identity")]
MOBILEONE = [("conv_kxk", "rbr_conv"), ("conv_scale", "rbr_scale"), ("identity", "rbr_skip")]
MOBILEONE += [("attn.fc1", "se.reduce"), ("attn.fc2", "se.expand")]
OPENMMLAB = [
    (r"^stem\.", "backbone.stem."),
    (r"^stages\.(\d+)\.", lambda found: f"backbone.stage_{int(found[1]) + 1}."),
    (r"conv_(kxk|1x1)\.bn", r"conv_\1.norm"),
    ("conv_kxk", "branch_3x3"),
    ("conv_1x1", "branch_1x1"),
    ("identity", "branch_norm"),
]
# Whose names, who makes it, timm's name, from its names to theirs.
TRAINING_FORMS = [
    ("RepVGG", timm.create_model, "repvgg_a0", STAGES + REPVGG),
    ("RepVGG with groups", timm.create_model, "repvgg_b1g4", STAGES + REPVGG),
    ("OpenMMLab", timm.create_model, "repvgg_a0", OPENMMLAB),
    ("QARepVGG", qarepvgg, "repvgg_a0", STAGES),
    ("MobileOne", timm.create_model, "mobileone_s0", STAGES + MOBILEONE),
    ("MobileOne with attention", timm.create_model, "mobileone_s4", STAGES + MOBILEONE),
]


def randomise(network, pictures):
    """Weights as training leaves them: norms that are not the identity, with the statistics of pictures."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.weight, 1.0, 0.3)
            torch.nn.init.normal_(module.bias, 0.0, 0.3)
            module.momentum = None
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(pictures + 0.1 * torch.randn_like(pictures))
    return network.eval()


def main():
    dyrep = sys.argv[1]
    only = sys.argv[2:]
    folder = Path(tempfile.mkdtemp())
    failed = False

    def run(*arguments):
        done = subprocess.run([dyrep, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())

    def predicted(file, *options):
        out = folder / "logits.safetensors"
        run("predict", file, "--batch", folder / "batch.safetensors", "--logits", out, "--force", *options)
        return load_file(out)["logits"]

    def case(make, name):
        """The network, the pictures it is asked about, and what it says of them."""
        torch.manual_seed(0)
        # Each of its own brightness: a norm of averages must find something to normalise.
        pictures = torch.randn(4, 3, 224, 224) + torch.randn(4, 3, 1, 1)
        network = randomise(make(name, num_classes=1000), pictures)
        save_file({"batch": pictures}, folder / "batch.safetensors")
        with torch.no_grad():
            return network, pictures, network(pictures)

    for name, make, reparameterised, options in NETWORKS:
        if only and name not in only:
            continue
        network, pictures, wanted = case(make, name)
        rows = []

        def row(what, logits):
            nonlocal failed
            difference = largest(logits, wanted)
            failed |= not difference < allowed
            rows.append(f"{what} {difference:.1e}")

        try:
            allowed, rounding = limit(network, pictures, wanted)
            file = folder / f"{name}.pth"
            torch.save(network.state_dict(), file)
            row("as it is", predicted(file, *options))
            deployed = folder / f"{name}.safetensors"
            names = ["--names", "timm"] if reparameterised else []
            run("deploy", file, deployed, "--force", *names, *options)
            row("deployed", predicted(deployed))
            if reparameterised is not None:
                other = make(name, num_classes=1000).eval()
                if reparameterised:
                    other = reparameterize_model(other)
                tensors = load_file(deployed)
                counters = {k: v for k, v in other.state_dict().items() if k.endswith("num_batches_tracked")}
                other.load_state_dict(tensors | counters, strict=True)
                with torch.no_grad():
                    row("loaded elsewhere", other(pictures))
            if reparameterised:
                fused = reparameterize_model(network)
                torch.save(fused.state_dict(), folder / "fused.pth")
                row("timm's fused", predicted(folder / "fused.pth", *options))
            onnx = folder / f"{name}.onnx"
            run("deploy", file, onnx, "--force", *options)
            session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
            row("onnxruntime", torch.from_numpy(session.run(["logits"], {"input": pictures.numpy()})[0]))
            odd = torch.randn(2, 3, 225, 239)
            with torch.no_grad():
                wanted = network(odd)
            allowed, odd_rounding = limit(network, odd, wanted)
            row("odd sides", torch.from_numpy(session.run(["logits"], {"input": odd.numpy()})[0]))
            rows.append(f"PyTorch's own rounding {rounding:.1e}, odd sides {odd_rounding:.1e}")
        except (RuntimeError, AssertionError) as error:
            failed = True
            rows.append(str(error))
        print(f"{name}: {', '.join(rows)}", flush=True)

    for whose, make, name, rules in TRAINING_FORMS:
        if only and whose not in only:
            continue
        network, pictures, wanted = case(make, name)
        rows = []
        try:
            allowed, _ = limit(network, pictures, wanted)
            file = folder / "training.pth"
            torch.save({"state_dict": renamed(network.state_dict(), rules)}, file)
            deployed = folder / "deployed.safetensors"
            run("deploy", file, deployed, "--force")
            for what, logits in [("as it is", predicted(file)), ("deployed", predicted(deployed))]:
                difference = largest(logits, wanted)
                failed |= not difference < allowed
                rows.append(f"{what} {difference:.1e}")
        except RuntimeError as error:
            failed = True
            rows.append(str(error))
        print(f"names of {whose}, {name}: {', '.join(rows)}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
