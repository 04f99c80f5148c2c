"""Holds what dyrep wrote against PyTorch's own networks and ONNX Runtime.

    DYREP_EXPORTS=/tmp/exports cargo test --test export full_networks
    DYREP_EXPORTS=/tmp/exports cargo test --test onnx
    python check_exports.py /tmp/exports

Every `NAME.safetensors` loads into torchvision's (or timm's) `NAME` with strict=True; every `NAME.onnx` passes ONNX's checker
and runs in batches of 1, 2 and 5. Differences are of the largest logit.
"""

import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
FOLDER = pathlib.Path(sys.argv[1])
INPUT = load_file(HERE / "expected.safetensors")["input"]


def network(name):
    import timm
    import torchvision

    if name == "mobilenet_v1":
        return timm.create_model("mobilenetv1_100", act_layer=torch.nn.ReLU)
    if name == "repvgg_a0":
        from timm.utils.model import reparameterize_model

        return reparameterize_model(timm.create_model("repvgg_a0").eval())
    return getattr(torchvision.models, name)()


def difference(got, want):
    return float(np.abs(got - want).max() / np.abs(want).max())


def main():
    for file in sorted(FOLDER.glob("*.safetensors")):
        net = network(file.stem).eval()
        tensors = load_file(file)
        if file.stem.startswith("repvgg"):
            # timm's name for a deployed unit.
            tensors = {name.replace(".conv.", ".reparam_conv."): tensor for name, tensor in tensors.items()}
        net.load_state_dict(tensors, strict=True)
        want = np.fromfile(FOLDER / f"{file.stem}.torch.logits", "<f4").reshape(len(INPUT), -1)
        with torch.no_grad():
            print(f"{file.stem:18} strict=True  {difference(net(INPUT).numpy(), want):.1e}")
    for file in sorted(FOLDER.glob("*.onnx")):
        import onnx
        import onnxruntime

        onnx.checker.check_model(str(file), full_check=True)
        session = onnxruntime.InferenceSession(str(file))
        name, shape = session.get_inputs()[0].name, session.get_inputs()[0].shape
        want = np.fromfile(FOLDER / f"{file.stem}.logits", "<f4").reshape(len(INPUT), -1)
        worst = 0.0
        for repeat in (np.array([0]), np.array([0, 1]), np.array([0, 1, 1, 0, 1])):
            (got,) = session.run(None, {name: INPUT.numpy()[repeat]})
            worst = max(worst, difference(got, want[repeat]))
        print(f"{file.stem:18} onnx {shape}  {worst:.1e}")


main()
