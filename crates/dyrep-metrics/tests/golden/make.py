"""What pycocotools and numpy count: `detection.json` and `segmentation.json`, for `tests/golden_*.rs`.

Run from any folder: `python crates/dyrep-metrics/tests/golden/make.py`
Needs numpy and pycocotools alone (made with Python 3.11, pycocotools 2.0.11, numpy 2.4.6); the same versions write the
same bytes. Pictures are generated; ids, scores and coordinates are what JSON holds exactly.
"""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HERE = Path(__file__).parent
rng = np.random.default_rng(20261129)


def quarter(low, high):
    """A number of quarters, which float64 and a short text hold."""
    return int(rng.integers(low * 4, high * 4 + 1)) / 4


class Case:
    """Pictures in the order in which they are given; objects and detections in theirs."""

    def __init__(self, name, classes):
        self.name, self.classes, self.pictures, self.ids = name, classes, [], 0

    def picture(self, number):
        self.pictures.append({"id": number, "truths": [], "detections": []})
        return self

    def truth(self, label, box, area=None, crowd=0):
        self.ids += 1
        area = box[2] * box[3] if area is None else area
        self.pictures[-1]["truths"].append([self.ids, label, *box, area, crowd])
        return self

    def found(self, label, box, score):
        self.pictures[-1]["detections"].append([label, *box, score])
        return self

    def measured(self):
        images = [{"id": p["id"], "width": 640, "height": 480} for p in self.pictures]
        # pycocotools' categories are numbered from 1.
        categories = [{"id": c + 1, "name": str(c)} for c in range(self.classes)]
        truths, found = [], []
        for picture in self.pictures:
            for number, label, x, y, w, h, area, crowd in picture["truths"]:
                truths.append(
                    {"id": number, "image_id": picture["id"], "category_id": label + 1}
                    | {"bbox": [x, y, w, h], "area": area, "iscrowd": crowd}
                )
            for label, x, y, w, h, score in picture["detections"]:
                found.append(
                    {"image_id": picture["id"], "category_id": label + 1}
                    | {"bbox": [x, y, w, h], "score": score}
                )
        with contextlib.redirect_stdout(io.StringIO()):
            known = COCO()
            known.dataset = {"images": images, "annotations": truths, "categories": categories}
            known.createIndex()
            if found:
                results = known.loadRes(found)
            else:
                # `loadRes` fails on an empty list.
                results = COCO()
                results.dataset = {"images": images, "annotations": [], "categories": categories}
                results.createIndex()
            evaluation = COCOeval(known, results, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        precision = evaluation.eval["precision"]  # [thresholds, recalls, classes, areas, most]
        none = lambda x: None if x == -1 else float(x)
        by_class = []
        for c in range(self.classes):
            of_class = precision[:, :, c, 0, 2]
            by_class.append([none(of_class.mean()), none(of_class[0].mean())])
        return {
            "name": self.name,
            "classes": self.classes,
            "pictures": self.pictures,
            "numbers": [none(x) for x in evaluation.stats],
            "by_class": by_class,
        }, evaluation.params


def box(small=4, large=160):
    return [quarter(0, 400), quarter(0, 300), quarter(small, large), quarter(small, large)]


def near(b, by):
    """A box like another: moved and scaled by up to a share of its sides."""
    x, y, w, h = b
    move = lambda side: round(side * rng.uniform(-by, by) * 4) / 4
    return [x + move(w), y + move(h), max(w + move(w), 0.25), max(h + move(h), 0.25)]


def score(digits=4):
    return round(float(rng.uniform(0.01, 1)), digits)


def fill(case, pictures, labels, *, crowds=0.0, areas=0.0, digits=4, empty=0.0, twice=0.0, zero=0.0, most=5):
    """Random pictures whose detections are mostly near something."""
    for number in pictures:
        case.picture(number)
        if rng.random() < empty:
            continue
        boxes = []
        for _ in range(int(rng.integers(0, most + 1))):
            b, label = box(), int(rng.choice(labels))
            if rng.random() < zero:
                b[int(rng.integers(2, 4))] = 0.0
            share = round(float(rng.uniform(0.2, 0.9)), 2) if rng.random() < areas else 1
            crowd = int(rng.random() < crowds)
            for _ in range(1 + (rng.random() < twice)):
                case.truth(label, b, b[2] * b[3] * share, crowd)
            boxes.append((label, b))
        for label, b in boxes:
            for _ in range(int(rng.integers(0, 4))):
                other = label if rng.random() < 0.85 else int(rng.choice(labels))
                found = near(b, float(rng.choice([0, 0.03, 0.1, 0.25])))
                if rng.random() < zero:
                    found[int(rng.integers(2, 4))] = 0.0
                for _ in range(1 + (rng.random() < twice)):
                    case.found(other, found, score(digits))
        for _ in range(int(rng.integers(0, 3))):
            case.found(int(rng.choice(labels)), box(), score(digits))
    return case


def shuffled(count, most=900):
    return [int(n) for n in rng.choice(np.arange(1, most), count, replace=False)]


def many():
    """More than a hundred detections of a class in a picture, with equal scores where they are cut off."""
    case = Case("many", 2).picture(7)
    boxes = [[quarter(0, 500), quarter(0, 400), 24.0, 30.0] for _ in range(12)]
    for b in boxes:
        case.truth(0, b)
    for n in range(140):
        # The last of these are near objects that nothing before was near to.
        b = near(boxes[n // 10 % 12], 0.06) if n >= 90 else box()
        case.found(0, b, 0.5 if n >= 80 else round(0.9 - 0.002 * n, 3))
    return fill(case.picture(8).truth(1, [10.0, 10.0, 50.0, 60.0]), [9, 3], [0, 1])


def grid():
    """A hundred objects: recall meets each hundredth exactly, where the 101 points lie."""
    case = Case("grid", 1)
    for number in range(1, 5):
        case.picture(number)
        for n in range(25):
            b = [n % 5 * 60.0, n // 5 * 60.0, 40.0, 40.0]
            case.truth(0, b)
            if rng.random() < 0.75:
                case.found(0, near(b, 0.1), score())
            if rng.random() < 0.4:
                case.found(0, box(), score())
    return case


def thresholds():
    """Overlaps of exactly each threshold, by boxes in a row."""
    case = Case("thresholds", 2)
    for n in range(10):
        case.picture(n + 1)
        share = 50 + 5 * n
        case.truth(0, [0.0, 0.0, 100.0, 100.0]).found(0, [0.0, 0.0, 100.0, float(share)], round(0.9 - n / 50, 2))
        case.truth(1, [0.0, 0.0, 20.0, 20.0]).found(1, [0.0, 0.0, share / 5, 20.0], 0.5)
    return case


def areas():
    """Areas on the borders of small, medium and large, and beyond what `all` holds; other than width by height."""
    case = Case("areas", 2)
    for n, area in enumerate([0, 1023.75, 1024, 1024.25, 9215.75, 9216, 9216.25, 1e10, 1e10 + 2, 3000]):
        side = [32.0, 32.0] if n % 2 else [96.0, 96.0]
        b = [5.0, 7.0, *side]
        case.picture(50 - n).truth(n % 2, b, area).found(n % 2, b, round(0.3 + n / 20, 2))
        case.found(n % 2, [300.0, 200.0, *side], round(0.31 + n / 20, 2))
    for number, area in [(70, 1024), (71, 9216)]:
        # Not found.
        case.picture(number).truth(0, [400.0, 200.0, 60.0, 60.0], area)
    return fill(case, [60, 61, 62, 63], [0, 1], areas=1.0)


def ties():
    """Few scores: what is first within and across pictures decides."""
    return fill(Case("ties", 2), shuffled(14), [0, 1], digits=1, most=4)


def two_objects():
    """A detection between two objects, equally near; a better one that comes late; a crowd that would be better."""
    case = Case("two_objects", 1).picture(2)
    case.truth(0, [0.0, 0.0, 40.0, 40.0]).truth(0, [10.0, 0.0, 40.0, 40.0])
    case.found(0, [5.0, 0.0, 40.0, 40.0], 0.9).found(0, [0.0, 0.0, 40.0, 40.0], 0.8).found(0, [10.0, 0.0, 40.0, 40.0], 0.8)
    case.picture(1).truth(0, [0.0, 0.0, 300.0, 300.0], crowd=1).truth(0, [0.0, 0.0, 60.0, 60.0])
    case.found(0, [0.0, 0.0, 60.0, 45.0], 0.95)
    case.found(0, [0.0, 0.0, 60.0, 45.0], 0.7).found(0, [200.0, 200.0, 20.0, 20.0], 0.99).found(0, [200.0, 200.0, 200.0, 200.0], 0.6)
    return case


def alone(name, truths, found, crowd=0):
    case = Case(name, 2).picture(4)
    for _ in range(truths):
        case.truth(0, box(), crowd=crowd)
    for _ in range(found):
        case.found(0, box(), score())
    return case.picture(2)


CASES = [
    fill(Case("plain", 4), range(1, 21), [0, 1, 3]),
    fill(Case("crowds", 3), shuffled(16), [0, 1, 2], crowds=0.4, areas=0.3),
    fill(Case("crowded", 1), shuffled(8), [0], crowds=0.5, twice=0.2, most=8, digits=2),
    ties(),
    many(),
    grid(),
    thresholds(),
    areas(),
    two_objects(),
    fill(Case("zero", 2), shuffled(12), [0, 1], zero=0.3),
    fill(Case("duplicates", 2), shuffled(10), [0, 1], twice=0.6, digits=2),
    fill(Case("empty", 3), shuffled(18), [0, 2], empty=0.6).picture(950).found(2, box(), 0.995).found(0, box(), 0.99),
    alone("no_detections", 3, 0),
    alone("no_truths", 0, 3),
    alone("crowds_alone", 2, 3, crowd=1),
    Case("nothing", 2).picture(1).picture(2),
    *[
        fill(
            Case(f"mixed_{n}", 5), shuffled(10), [0, 1, 3, 4],
            crowds=0.2, areas=0.5, digits=int(rng.integers(1, 4)), empty=0.1, twice=0.2, zero=0.1, most=6,
        )
        for n in range(8)
    ],
]


def lines(rows):
    """JSON with a line for each of the rows."""
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]"


def detection():
    cases, params = [], None
    for case in CASES:
        measured, params = case.measured()
        cases.append(measured)
        print(f"{case.name:14}", [None if x is None else round(x, 3) for x in measured["numbers"]])
    head = {"ious": params.iouThrs.tolist(), "recalls": params.recThrs.tolist()}
    return f'{{"thresholds":{json.dumps(head)},\n"cases":{lines(cases)}}}\n'


def segmentation():
    """Counts by numpy; means over classes with pixels, as mmsegmentation's `np.nanmean` takes them."""
    cases = []
    for name, classes, ignore, seen in [
        ("all", 5, 255, [0, 1, 2, 3, 4]),
        ("absent", 6, 255, [0, 2, 3]),
        ("no_ignore", 3, None, [0, 1, 2]),
        ("ignored_class", 4, 0, [0, 1, 2, 3]),
        ("one", 1, 255, [0]),
        ("nothing", 3, 255, []),
    ]:
        size = 400
        truth = rng.choice(seen, size) if seen else np.full(size, ignore)
        predicted = np.where(rng.random(size) < 0.6, truth, rng.integers(0, max(classes - 1, 1), size))
        if ignore is not None:
            predicted = np.where(predicted == ignore, 0, predicted)
            truth = np.where(rng.random(size) < 0.1, ignore, truth)
        keep = np.ones(size, bool) if ignore is None else truth != ignore
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (truth[keep], predicted[keep]), 1)
        hit, rows, columns = np.diag(counts), counts.sum(1), counts.sum(0)
        with np.errstate(invalid="ignore"):
            iou, accuracy = hit / (rows + columns - hit), hit / rows
        none = lambda x: None if np.isnan(x) else float(x)
        mean = lambda x: None if np.isnan(x).all() else float(np.nanmean(x))
        cases.append(
            {
                "name": name,
                "classes": classes,
                "ignore": ignore,
                "truth": truth.tolist(),
                "predicted": predicted.tolist(),
                "counts": counts.tolist(),
                "iou": [none(x) for x in iou],
                "mean_iou": mean(iou),
                "accuracy": [none(x) for x in accuracy],
                "mean_accuracy": mean(accuracy),
                "pixel_accuracy": float(hit.sum() / counts.sum()) if counts.sum() else None,
            }
        )
    return lines(cases) + "\n"


for file, text in [("detection.json", detection()), ("segmentation.json", segmentation())]:
    (HERE / file).write_text(text)
    print(file, len(text), "bytes")
