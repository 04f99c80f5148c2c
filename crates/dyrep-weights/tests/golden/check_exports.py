"""Holds what dyrep wrote against PyTorch's own networks and ONNX Runtime.

    DYREP_EXPORTS=/tmp/exports cargo test --test export full_networks
    DYREP_EXPORTS=/tmp/exports cargo test --test onnx
    python check_exports.py /tmp/exports

Every `NAME.safetensors` loads into torchvision's (or timm's) `NAME` with strict=True. Every `NAME.OPSET.onnx` passes ONNX's
checker and gives the logits of `NAME.HEIGHTxWIDTH.logits` for the pictures beside them, whole and one by one, in ONNX Runtime
and, if it is installed, OpenCV. Differences are of the largest logit.
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


def onnxruntime_of(file):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    ((name, shape),) = ((it.name, it.shape) for it in session.get_inputs())
    assert name == "input" and [it.name for it in session.get_outputs()] == ["logits"]
    metadata = session.get_modelmeta().custom_metadata_map
    return shape, sorted(metadata), lambda pictures: session.run(["logits"], {"input": pictures})[0]


def opencv_of(file):
    try:
        import cv2
    except ImportError:
        return None
    net = cv2.dnn.readNetFromONNX(str(file))

    def run(pictures):
        net.setInput(pictures)
        return net.forward()

    return run


def onnx_file(file):
    import onnx

    onnx.checker.check_model(str(file), full_check=True)
    shape, metadata, run = onnxruntime_of(file)
    runs = {"onnxruntime": run, "opencv": opencv_of(file)}
    name = file.stem.rsplit(".", 1)[0]
    for logits in sorted(FOLDER.glob(f"{name}.*.logits")):
        height, width = map(int, logits.stem.rsplit(".", 1)[1].split("x"))
        pictures = np.fromfile(logits.with_suffix(".input"), "<f4").reshape(-1, 3, height, width)
        want = np.fromfile(logits, "<f4").reshape(len(pictures), -1)
        told = []
        for who, run in runs.items():
            if run is not None:
                one_by_one = np.concatenate([run(pictures[i : i + 1]) for i in range(len(pictures))])
                worst = max(difference(run(pictures), want), difference(one_by_one, want))
                assert worst < 1e-4, (file, who, worst)
                told.append(f"{who} {worst:.1e}")
        print(f"{file.stem:20} {shape} {height}x{width} {', '.join(told)}")
    assert "dyrep" in metadata and "class_names" in metadata, metadata


def main():
    for file in sorted(FOLDER.glob("*.safetensors")):
        net = network(file.stem).eval()
        tensors = load_file(file)
        net.load_state_dict(tensors, strict=True)
        want = np.fromfile(FOLDER / f"{file.stem}.torch.logits", "<f4").reshape(len(INPUT), -1)
        with torch.no_grad():
            print(f"{file.stem:18} strict=True  {difference(net(INPUT).numpy(), want):.1e}")
    for file in sorted(FOLDER.glob("*.onnx")):
        onnx_file(file)


main()
