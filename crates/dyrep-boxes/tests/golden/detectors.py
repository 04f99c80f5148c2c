"""What torchvision's RetinaNet and FCOS make of boxes: `detectors.json`, for `../golden.rs`.

Needs torch and torchvision: `python crates/dyrep-boxes/tests/golden/detectors.py`, from any folder (made with Python
3.11, PyTorch 2.15, torchvision 0.29, on a CPU). Expected values come from torchvision's own functions and methods, the
latter called on a stand-in that has only the settings they read.

One thing is replaced: `topk` leaves the order of equal scores open, so here it is a stable sort. Where no scores are
equal, the original is asserted to give the same.

Numbers are float32, written as their shortest decimals; NaN is null.
"""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy
import torch
from torchvision.models.detection import _utils, fcos, retinanet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.ops import boxes as ops

torch.manual_seed(20171030)
original_topk = torch.Tensor.topk


def stable_topk(self, k):
    values, indices = self.sort(descending=True, stable=True)
    return values[:k], indices[:k]


def short(x):
    """The shortest decimal that is this float32."""
    if math.isnan(x):
        return None
    x = float(str(numpy.float32(x)))
    return int(x) if x == int(x) else x


def rows(tensor):
    if tensor.dim() == 0 or tensor.dtype == torch.int64:
        return tensor.tolist()
    return [short(x) for x in tensor.tolist()] if tensor.dim() == 1 else [rows(row) for row in tensor]


def random_boxes(count, height, width, smallest=2.0, largest=None, grid=0.25):
    """On a grid, so that they are short to write and some share sides."""
    largest = largest or max(height, width) / 2
    size = smallest + (largest - smallest) * torch.rand(count, 2) ** 2
    corner = torch.rand(count, 2) * torch.tensor([width, height])
    boxes = torch.cat([corner - size / 2, corner + size / 2], 1)
    boxes = (boxes / grid).round() * grid
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + grid)
    return boxes


def overlaps():
    boxes = torch.cat([
        random_boxes(12, 60, 80),
        torch.tensor([[0.0, 0, 10, 10], [0, 0, 6, 10], [10, 0, 20, 10], [5, 5, 5, 5], [5, 5, 5, 5], [0, 2, 10, 2],
                      [0.1, 0.2, 0.3, 0.7], [-3, -4, 5, 6], [1e6, 1e6, 2e6, 3e6]]),
    ])
    picture = (47, 61)
    return {
        "boxes": rows(boxes),
        "areas": rows(ops.box_area(boxes)),
        "overlaps": rows(ops.box_iou(boxes, boxes)),
        "picture": picture,
        "clipped": rows(ops.clip_boxes_to_image(boxes, picture)),
        "min_side": 10,
        "large": ops.remove_small_boxes(boxes, 10).tolist(),
        "to": (67, 87),
        "resized": rows(resize_boxes(boxes, picture, (67, 87))),
    }


def transforms():
    """Sizes after resizing and padding, and of the levels that the network itself makes of them."""
    found = []
    with torch.device("meta"):
        backbone = retinanet.retinanet_resnet50_fpn(weights=None, weights_backbone=None).backbone.eval()
    batches = [
        [(480, 640)], [(427, 640), (640, 427)], [(333, 500), (500, 375), (1, 1)], [(1080, 1920)], [(97, 1201)],
        [(800, 1333)], [(799, 1332), (801, 1334)], [(50, 7)], [(613, 461)],
    ]
    for batch in batches:
        for least, most in [(800, 1333), (64, 101)]:
            transform = GeneralizedRCNNTransform(least, most, [0.0] * 3, [1.0] * 3)
            images, _ = transform([torch.zeros(3, *size) for size in batch])
            padded = tuple(images.tensors.shape[-2:])
            with torch.no_grad():
                levels = backbone(torch.empty(1, 3, *padded, device="meta"))
            found.append({
                "batch": batch, "min_size": least, "max_size": most, "resized": images.image_sizes, "padded": padded,
                "levels": [tuple(level.shape[-2:]) for level in levels.values()],
            })
    # Sides alone, which is all that `interpolate` needs a picture for.
    pairs = torch.randint(1, 700, (60, 2)).tolist()
    sizes = []
    for pair in pairs:
        transform = GeneralizedRCNNTransform(160, 266, [0.0] * 3, [1.0] * 3)
        if math.floor(min(pair) * min(160 / min(pair), 266 / max(pair))) == 0:
            continue
        images, _ = transform([torch.zeros(3, *pair)])
        sizes.append([pair, images.image_sizes[0]])
    return {"batches": found, "sizes": sizes}


def generators():
    return {
        "retinanet": retinanet._default_anchorgen(),
        "fcos": AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5),
        "odd": AnchorGenerator(((5, 9.3), (17,)), ((0.3, 1.0, 1.7), (3.0, 0.11))),
    }


def grid_anchors(generator, padded, grids):
    images = ImageList(torch.empty(1, 3, *padded, device="meta"), [padded])
    images.tensors = SimpleNamespace(shape=(1, 3, *padded))
    return generator(images, [torch.zeros(1, 1, *grid) for grid in grids])[0]


def weighed(anchors):
    """All whole numbers in one: another order or another number gives another sum."""
    flat = anchors.double().flatten()
    assert (flat == flat.round()).all()
    weights = torch.arange(len(flat), dtype=torch.int64) % 65521 + 1
    return int((flat.to(torch.int64) * weights).sum())


def halves(padded, levels=5):
    return [tuple(math.ceil(side / 2 ** level) for side in padded) for level in range(3, 3 + levels)]


def anchors():
    found = []
    cases = [("retinanet", size) for size in [(800, 1344), (64, 96), (832, 1088), (33, 65), (608, 608)]]
    cases += [("fcos", size) for size in [(800, 1344), (64, 96), (101, 47)]]
    cases += [("odd", size) for size in [(57, 91), (11, 23)]]
    for name, padded in cases:
        generator = generators()[name]
        grids = halves(padded, len(generator.sizes))
        all_anchors = grid_anchors(generator, padded, grids)
        counts = [g[0] * g[1] * n for g, n in zip(grids, generator.num_anchors_per_location())]
        some = sorted({0, 1, 7, len(all_anchors) // 3, len(all_anchors) - 1} & set(range(len(all_anchors))))
        found.append({
            "generator": name, "padded": padded, "grids": grids, "counts": counts,
            "some": [[index, rows(all_anchors[index])] for index in some], "weighed": weighed(all_anchors),
        })
    return found


def coding():
    objects = torch.cat([random_boxes(30, 300, 400, grid=1e-2), torch.tensor([[5.0, 5, 5.01, 900], [0, 0, 1, 1]])])
    starts = torch.cat([random_boxes(30, 300, 400), torch.tensor([[0.0, 0, 8, 8], [-512, -512, 512, 512]])])
    codes = torch.cat([torch.randn(28, 4), torch.randn(4, 4) * 6])
    distances = torch.rand(32, 4) * 9
    weights = (10.0, 10.0, 5.0, 5.0)
    plain, weighted = _utils.BoxCoder((1.0, 1.0, 1.0, 1.0)), _utils.BoxCoder(weights)
    linear, pixels = _utils.BoxLinearCoder(True), _utils.BoxLinearCoder(False)
    return {
        "objects": rows(objects), "anchors": rows(starts), "codes": rows(codes), "distances": rows(distances),
        "weights": weights,
        "encoded": rows(plain.encode_single(objects, starts)), "decoded": rows(plain.decode_single(codes, starts)),
        "weighted_encoded": rows(weighted.encode_single(objects, starts)),
        "weighted_decoded": rows(weighted.decode_single(codes, starts)),
        "linear_encoded": rows(linear.encode(starts, objects)),
        "linear_decoded": rows(linear.decode(distances, starts)),
        "pixels_encoded": rows(pixels.encode(starts, objects)),
        "pixels_decoded": rows(pixels.decode(distances, starts)),
    }


class Capture:
    """A head that only notes what it is given."""

    def compute_loss(self, targets, outputs, anchors, matched):
        self.matched = matched
        return {}


def runs(matched):
    """[how many, match] of anchors in a row."""
    values, lengths = torch.unique_consecutive(matched, return_counts=True)
    return [list(pair) for pair in zip(lengths.tolist(), values.tolist())]


def matching():
    """Objects of every kind, for pictures of several sizes."""
    found = []
    special = {
        "narrow": torch.tensor([[-4.0, -4, 4, -0.8], [12, -4, 20, 0], [28, 28, 36, 34.4]]),
        "same twice": torch.tensor([[10.0, 10, 50, 50], [10, 10, 50, 50], [12, 12, 48, 48]]),
        "tiny": torch.tensor([[20.1, 20.1, 20.4, 20.6], [3, 3, 4, 4]]),
        "whole": torch.tensor([[0.0, 0, 93, 61], [0, 0, 92, 61]]),
        "outside": torch.tensor([[5000.0, 5000, 5050, 5060], [4, 4, 60, 60]]),
        "nearly same area": torch.tensor([[4.0, 4, 44, 44.05], [4, 4, 44, 44], [3.9, 4, 44, 44]]),
        # A centre exactly 1.5 of FCOS's first anchors away, and sides exactly 8 of them.
        "reach": torch.tensor([[4.0, 4, 36, 36], [-8, -8, 112, 112]]),
        "beyond": torch.tensor([[-6000.0, -6000, 6000, 6000], [-5000, -5000, 5000, 5000]]),
        "huge": torch.tensor([[-6000.0, -6000, 6000, 6000], [-4000, -4000, 4000, 4000], [-5000, -5000, 5000, 5000]]),
    }
    for name, padded in [("retinanet", (64, 96)), ("retinanet", (352, 416)), ("fcos", (64, 96)), ("fcos", (609, 801))]:
        generator = generators()[name]
        grids = halves(padded)
        starts = grid_anchors(generator, padded, grids)
        counts = [g[0] * g[1] * n for g, n in zip(grids, generator.num_anchors_per_location())]
        cases = {"none": torch.zeros(0, 4)}
        if padded == (64, 96):
            cases |= special
        cases |= {f"random {count}": random_boxes(count, *padded, largest=max(padded)) for count in [1, 4, 20]}
        for case, objects in cases.items():
            if padded == (352, 416) and case == "random 20":
                objects = objects[:10]
            target, head = {"boxes": objects}, Capture()
            if name == "retinanet":
                matchers = [(0.5, 0.4, True)]
                matchers += [(0.5, 0.4, False), (0.6, 0.6, True)] if padded == (64, 96) else []
                for high, low, allow in matchers:
                    model = SimpleNamespace(head=head, proposal_matcher=_utils.Matcher(high, low, allow))
                    retinanet.RetinaNet.compute_loss(model, [target], {}, [starts])
                    found.append({"generator": name, "padded": padded, "case": case, "objects": rows(objects),
                                  "high": high, "low": low, "allow": allow, "matched": runs(head.matched[0])})
            else:
                for radius in [1.5, 0.7]:
                    model = SimpleNamespace(head=head, center_sampling_radius=radius)
                    fcos.FCOS.compute_loss(model, [target], {}, [starts], counts)
                    found.append({"generator": name, "padded": padded, "case": case, "objects": rows(objects),
                                  "radius": radius, "matched": runs(head.matched[0])})
    return found


def exact_matching():
    """Overlaps of exactly the thresholds, which no anchor happens to have."""
    objects = torch.tensor([[0.0, 0, 10, 10], [100, 0, 110, 10]])
    starts = torch.tensor([[0.0, 0, 4, 10], [0, 0, 5, 10], [0, 0, 10, 10], [100, 0, 104, 10], [100, 0, 103.9, 10],
                           [200, 0, 210, 10], [100, 0, 105, 10], [105, 0, 110, 10]])
    found = []
    for high, low, allow in [(0.5, 0.4, False), (0.5, 0.4, True), (0.4, 0.4, False)]:
        matched = _utils.Matcher(high, low, allow)(ops.box_iou(objects, starts))
        found.append({"high": high, "low": low, "allow": allow, "matched": matched.tolist()})
    return {"objects": rows(objects), "anchors": rows(starts), "cases": found}


def suppression():
    found = []

    def case(name, boxes, scores, classes, threshold):
        found.append({"case": name, "boxes": rows(boxes), "scores": rows(scores), "classes": classes.tolist(),
                      "threshold": threshold, "kept": ops.nms(boxes, scores, threshold).tolist(),
                      "kept_by_class": ops.batched_nms(boxes, scores, classes, threshold).tolist()})

    def scores(count, grid):
        return (torch.rand(count) / grid).round() * grid

    case("empty", torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5)
    fifths = torch.tensor([[0.0, 0, 10, 10], [0, 0, 6, 10], [0, 0, 5, 10], [0, 0, 10, 4], [0, 0, 10, 3]])
    for threshold in [0.3, 0.4, 0.5, 0.6, 0.0, 1.0, -1.0]:
        case(f"exactly {threshold}", fifths, torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]),
             torch.zeros(5, dtype=torch.int64), threshold)
    same = torch.tensor([[3.0, 3, 9, 9]] * 4 + [[3.0, 3, 3, 9]] * 3 + [[40, 40, 40, 40.0]] * 2)
    case("degenerate", same, torch.tensor([0.5] * 9), torch.tensor([0, 1, 0, 1, 0, 0, 1, 1, 1]), 0.5)
    for count, kinds, threshold in [(40, 1, 0.5), (60, 3, 0.6), (60, 91, 0.3), (120, 5, 0.5)]:
        boxes, classes = random_boxes(count, 30, 40, 6), torch.randint(0, kinds, (count,))
        boxes = boxes.clamp(min=0)
        case(f"{count} of {kinds} classes", boxes, scores(count, 1e-4), classes, threshold)
        case(f"{count} of {kinds} classes, tied", boxes, scores(count, 0.1), classes, threshold)
    # More than 1000, which torchvision suppresses class by class, leaving the order of equal scores open.
    case("many", random_boxes(1002, 200, 300, 20, 120, grid=1).clamp(min=0), torch.randperm(1002) / 2000,
         torch.randint(0, 7, (1002,)), 0.5)
    return found


def post():
    found = []

    def case(name, model, picture, grids, shapes, classes, logits, codes, nearness=None, **settings):
        padded = tuple(math.ceil(side / 32) * 32 for side in picture)
        generator = AnchorGenerator(tuple(tuple(s) for s in shapes), ((0.5, 1.0, 2.0) if model == "retinanet" else (1.0,),) * len(shapes))
        starts = grid_anchors(generator, padded, grids)
        counts = [g[0] * g[1] * n for g, n in zip(grids, generator.num_anchors_per_location())]
        torch.manual_seed(len(found))
        total = sum(counts)
        logits, codes = logits(total, classes), codes(total)
        outputs = {"cls_logits": list(logits[None].split(counts, 1)), "bbox_regression": list(codes[None].split(counts, 1))}
        coder = _utils.BoxCoder((1.0, 1.0, 1.0, 1.0))
        method = retinanet.RetinaNet.postprocess_detections
        if model == "fcos":
            nearness = nearness(total)
            outputs["bbox_ctrness"] = list(nearness[None, :, None].split(counts, 1))
            coder, method = _utils.BoxLinearCoder(True), fcos.FCOS.postprocess_detections
        settings = {"score_thresh": 0.05, "nms_thresh": 0.5, "detections_per_img": 300, "topk_candidates": 1000} | settings
        this = SimpleNamespace(box_coder=coder, **settings)
        result = {}
        for topk in [stable_topk, original_topk]:
            torch.Tensor.topk = topk
            result[topk] = method(this, outputs, [list(starts.split(counts))], [picture])[0]
        torch.Tensor.topk = original_topk
        one, other = result[stable_topk], result[original_topk]
        scores = torch.sigmoid(logits) if model == "retinanet" else torch.sqrt(torch.sigmoid(logits) * torch.sigmoid(nearness)[:, None])
        levels = scores.flatten().split([count * classes for count in counts])
        tied = any(len(kept.unique()) < len(kept) for kept in (level[level > settings["score_thresh"]] for level in levels))
        assert tied or all(torch.equal(one[key], other[key]) for key in one), name
        found.append({
            "case": name, "model": model, "picture": picture, "padded": padded, "grids": grids, "sizes": shapes,
            "classes": classes, "logits": rows(logits.flatten()), "codes": rows(codes.flatten()),
            "centreness": None if nearness is None else rows(nearness), **settings, "tied": tied,
            "boxes": rows(one["boxes"]), "scores": rows(one["scores"]), "labels": rows(one["labels"]),
        })

    def fine(mean, spread):
        return lambda total, classes: ((torch.randn(total, classes) * spread + mean) * 1e4).round() / 1e4

    def coarse(mean, spread):
        return lambda total, classes: (torch.randn(total, classes) * spread + mean).round()

    def offsets(spread):
        return lambda total: (torch.randn(total, 4) * spread * 100).round() / 100

    def sides(spread):
        return lambda total: (torch.randn(total, 4).abs() * spread * 100).round() / 100

    def centre(total):
        return (torch.randn(total) * 200).round() / 100

    three = [[8], [16], [32]]
    grids = [(4, 6), (2, 3), (1, 2)]
    case("plain", "retinanet", (61, 93), grids, three, 3, fine(-2, 1.5), offsets(0.3))
    case("few candidates", "retinanet", (61, 93), grids, three, 3, fine(-1, 1.5), offsets(0.3), topk_candidates=9)
    case("few detections", "retinanet", (64, 96), grids, three, 2, fine(0, 2), offsets(0.2), detections_per_img=7)
    case("tied", "retinanet", (61, 93), grids, three, 3, coarse(-1, 1), offsets(0.1), topk_candidates=20)
    case("far out", "retinanet", (40, 37), [(8, 8), (4, 4)], [[8], [16]], 1, fine(0, 2), offsets(5))
    case("many classes", "retinanet", (50, 33), [(1, 2), (1, 1)], [[32], [48]], 91, fine(-4, 1.2), offsets(0.3))
    case("nothing", "retinanet", (50, 33), [(2, 2), (1, 1)], [[16], [32]], 2, fine(-9, 0.5), offsets(0.3))
    fcos_settings = {"score_thresh": 0.2, "nms_thresh": 0.6, "detections_per_img": 100}
    grids = [(8, 8), (4, 4), (2, 2)]
    case("plain", "fcos", (61, 93), grids, three, 3, fine(-1, 1.5), sides(1.5), centre, **fcos_settings)
    case("few", "fcos", (61, 93), grids, three, 3, fine(0, 1.5), sides(1.5), centre, topk_candidates=15,
         score_thresh=0.3, nms_thresh=0.4, detections_per_img=12)
    case("tied", "fcos", (64, 96), grids, three, 2, coarse(0, 1), lambda n: sides(1)(n).round(),
         lambda n: torch.zeros(n), **fcos_settings)
    case("nothing", "fcos", (61, 93), [(2, 2)], [[32]], 3, fine(-9, 0.5), sides(1.5), centre, **fcos_settings)
    return found


golden = {
    "overlaps": overlaps(), "transforms": transforms(), "anchors": anchors(), "coding": coding(),
    "matching": matching(), "exact_matching": exact_matching(), "suppression": suppression(), "post": post(),
}
path = Path(__file__).with_name("detectors.json")
path.write_text(json.dumps(golden, separators=(",", ":"), allow_nan=False) + "\n")
