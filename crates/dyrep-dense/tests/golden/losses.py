"""The losses of torchvision's RetinaNet and FCOS, and their gradients: `losses.json`, for `../golden.rs`.

Needs torch and torchvision: `python crates/dyrep-dense/tests/golden/losses.py`, from any folder (made with Python 3.11,
PyTorch 2.15, torchvision 0.29, on a CPU). Outputs of a head are a formula that the test computes, too; everything else is
what torchvision's own matching and `compute_loss` give, in float64 but for the boxes.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.models.detection import _utils, fcos, retinanet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import boxes as box_ops
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

CLASSES = 4
HEIGHT, WIDTH = 48, 64
# Boxes and classes of each picture; the last one shows nothing.
PICTURES = [
    ([[3.0, 5.0, 30.0, 33.0], [20.5, 10.0, 60.0, 44.25], [40.0, 2.0, 49.0, 9.0]], [0, 3, 1]),
    ([[0.0, 0.0, 64.0, 48.0]], [2]),
    ([], []),
]


def outputs(shape, salt, scale):
    """The same numbers as in the test."""
    count = math.prod(shape)
    values = [scale * math.sin(0.37 * i + math.sqrt(i) + salt) for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def targets():
    return [
        {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels, dtype=torch.int64)}
        for boxes, labels in PICTURES
    ]


def grids(strides):
    return [torch.zeros(1, 1, -(-HEIGHT // s), -(-WIDTH // s)) for s in strides]


def listed(tensor):
    return [float(f"{value:.9g}") for value in tensor.reshape(-1).tolist()]


def anchors(generator, maps):
    images = ImageList(torch.zeros(1, 3, HEIGHT, WIDTH), [(HEIGHT, WIDTH)])
    return generator(images, maps)[0]


def retina():
    maps = grids([8, 16, 32, 64, 128])
    all_anchors = anchors(retinanet._default_anchorgen(), maps)
    count = len(all_anchors)
    logits = outputs((3, count, CLASSES), 0.0, 2.0).requires_grad_()
    codes = outputs((3, count, 4), 1.0, 0.5).requires_grad_()
    head = retinanet.RetinaNetHead(256, 9, CLASSES)
    matcher = _utils.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    matched = []
    for target in targets():
        if target["boxes"].numel() == 0:
            matched.append(torch.full((count,), -1, dtype=torch.int64))
        else:
            matched.append(matcher(box_ops.box_iou(target["boxes"], all_anchors)))
    found = [int((m >= 0).sum()) for m in matched]
    losses = head.compute_loss(
        targets(), {"cls_logits": logits, "bbox_regression": codes}, [all_anchors] * 3, matched
    )
    (losses["classification"] + losses["bbox_regression"]).backward()
    return {
        "found": found,
        "classes": float(losses["classification"]),
        "boxes": float(losses["bbox_regression"]),
        "gradients": [listed(logits.grad), listed(codes.grad)],
    }


def places():
    strides = [8, 16, 32, 64, 128]
    maps = grids(strides)
    generator = AnchorGenerator(tuple((s,) for s in strides), ((1.0,),) * 5)
    all_anchors = anchors(generator, maps)
    count = len(all_anchors)
    logits = outputs((3, count, CLASSES), 0.0, 2.0).requires_grad_()
    sides = outputs((3, count, 4), 1.0, 0.5).abs().add(0.25).requires_grad_()
    central = outputs((3, count, 1), 2.0, 1.0).requires_grad_()
    levels = [m.shape[-2] * m.shape[-1] for m in maps]

    class Stub:
        center_sampling_radius = 1.5
        head = None

    seen = {}

    class Head:
        def compute_loss(self, targets, head_outputs, anchors, matched):
            seen["matched"] = matched
            head = fcos.FCOSHead(256, 1, CLASSES)
            return head.compute_loss(targets, head_outputs, anchors, matched)

    stub = Stub()
    stub.head = Head()
    losses = fcos.FCOS.compute_loss(
        stub,
        targets(),
        {"cls_logits": logits, "bbox_regression": sides, "bbox_ctrness": central},
        [all_anchors] * 3,
        levels,
    )
    sum(losses.values()).backward()
    return {
        "found": [int((m >= 0).sum()) for m in seen["matched"]],
        "classes": float(losses["classification"]),
        "boxes": float(losses["bbox_regression"]),
        "centreness": float(losses["bbox_ctrness"]),
        "gradients": [listed(logits.grad), listed(sides.grad), listed(central.grad)],
    }


def elements():
    """Overlapping, apart, inside, equal, without area."""
    one = torch.tensor(
        [[0, 0, 4, 4], [0, 0, 1, 1], [1, 1, 2, 2], [3, 3, 9, 8], [2, 2, 2, 2]], dtype=torch.float64
    ).requires_grad_()
    other = torch.tensor(
        [[2, 1, 6, 5], [5, 6, 7, 9], [0, 0, 4, 4], [3, 3, 9, 8], [0, 0, 4, 4]], dtype=torch.float64
    )
    loss = generalized_box_iou_loss(one, other)
    loss.sum().backward()
    logits = torch.tensor([-80.0, -3.0, 0.0, 2.5, 90.0], dtype=torch.float64)
    both = [listed(sigmoid_focal_loss(logits, torch.full_like(logits, t))) for t in (0.0, 1.0)]
    pixels = outputs((2, 3, 2, 4), 0.0, 2.0).requires_grad_()
    labels = torch.tensor([[[0, 1, 2, 255], [2, 2, 255, 0]], [[1, 1, 1, 1], [255, 0, 2, 1]]])
    cross = F.cross_entropy(pixels, labels, ignore_index=255)
    cross.backward()
    return {
        "giou": listed(loss),
        "giou_gradient": listed(one.grad),
        "focal": both,
        "pixels": float(cross),
        "pixels_gradient": listed(pixels.grad),
    }


found = {"retinanet": retina(), "fcos": places(), "elements": elements()}
Path(__file__).with_name("losses.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
