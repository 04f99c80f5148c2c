"""Makes draws.json: what 10,000 draws of torchvision's and timm's random transforms are like.
Run in this folder: python3 draws.py

Only what can be seen is recorded, boxes and bytes of pictures, never a drawn number itself, so that
the same is read off our transforms' results.

Needs Pillow, numpy, torch, torchvision and timm; see README.md for the versions that were used."""

import json
import math
import random
import zlib

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torchvision import transforms as T

DRAWS = 10_000

# Four pixels, three of them of strong colours: bytes that the parts of a jitter move in many ways.
COLOURS = [(200, 100, 50), (30, 90, 220), (250, 240, 10), (120, 125, 130)]


def summary(values):
    """Moments, and the share of draws at or below each decile."""
    values = np.array(values, dtype=float)
    mean, std = values.mean(), values.std()
    kurtosis = ((values - mean) ** 4).mean() / std**4 if std > 0 else 0.0
    steps = np.unique(np.quantile(values, np.linspace(0, 1, 11), method="lower"))
    # A little above each, because a logarithm may differ in its last bit.
    shares = [(values <= step + 1e-9).mean() for step in steps]
    return {
        "count": len(values), "mean": mean, "std": std, "kurtosis": kurtosis,
        "steps": [[float(step), round(float(share), 4)] for step, share in zip(steps, shares)],
    }


def draw(function):
    """Summaries of the quantities that a function gives by name; not all of them every time."""
    values = {}
    for _ in range(DRAWS):
        for name, value in function().items():
            values.setdefault(name, []).append(value)
    return {name: summary(values) for name, values in values.items()}


def resized_crop(width, height, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    image = Image.new("L", (width, height))

    def once():
        top, left, h, w = T.RandomResizedCrop.get_params(image, list(scale), list(ratio))
        return {
            "area": w * h / (width * height), "log ratio": math.log(w / h), "left": left, "top": top,
            "place": left / (width - w) if w < width else 0.0,
        }

    return draw(once)


def flip(probability):
    image = Image.fromarray(np.array([[1, 2]], dtype=np.uint8))
    transform = T.RandomHorizontalFlip(probability)
    return draw(lambda: {"flipped": float(transform(image).getpixel((0, 0)) == 2)})


def crop(width, height, size, padding):
    image = Image.new("L", (width + 2 * padding, height + 2 * padding))

    def once():
        top, left, _, _ = T.RandomCrop.get_params(image, (size, size))
        return {"left": left, "top": top}

    return draw(once)


def some_bytes(image, count=12):
    data = image.tobytes()
    return {str(i): data[i * len(data) // count] for i in range(count)}


def jitter(*strengths):
    image = Image.fromarray(np.array([COLOURS], dtype=np.uint8))
    transform = T.ColorJitter(*strengths)
    return draw(lambda: some_bytes(transform(image)))


def box(zeros):
    """Left, top, width and height of a rectangle of zeros."""
    ys, xs = np.nonzero(zeros)
    return xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1


def erasing(width, height, probability):
    image = torch.ones(1, height, width)
    transform = T.RandomErasing(probability)

    def once():
        zeros = (transform(image)[0] == 0).numpy()
        if not zeros.any():
            return {"erased": 0.0}
        left, top, w, h = box(zeros)
        return {
            "erased": 1.0, "area": w * h / (width * height), "log ratio": math.log(h / w),
            "left": left, "top": top,
        }

    return draw(once)


def cutout(width, height, size):
    """A square around a pixel drawn from the whole image, cut off at the border."""

    def once():
        x, y = np.random.randint(width), np.random.randint(height)
        left, right = np.clip([x - size // 2, x + size // 2], 0, width)
        top, bottom = np.clip([y - size // 2, y + size // 2], 0, height)
        return {"left": left, "top": top, "width": right - left, "height": bottom - top}

    return draw(once)


def picture():
    return Image.open("rgb.png").convert("RGB").crop((0, 0, 26, 22))


def augment(spec):
    options = {"interpolation": Image.Resampling.BILINEAR, "img_mean": (128, 128, 128)}
    return rand_augment_transform(spec, options)


def augmented(spec):
    image, transform = picture(), augment(spec)
    return draw(lambda: some_bytes(transform(image)))


def augmented_counts(spec):
    """How often each picture comes out of one operation at a fixed level."""
    image, transform, counts = picture(), augment(spec), {}
    for _ in range(DRAWS):
        key = zlib.crc32(transform(image).tobytes())
        counts[key] = counts.get(key, 0) + 1
    return {str(key): counts[key] for key in sorted(counts)}


def main():
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    cases = {}
    for width, height in ((48, 36), (40, 40), (24, 48), (60, 6), (6, 60)):
        cases[f"resized crop of {width}x{height}"] = resized_crop(width, height)
    cases["resized crop with options"] = resized_crop(40, 40, (0.2, 0.6), (0.5, 2.0))
    for probability in (0.5, 0.2):
        cases[f"flip of {probability}"] = flip(probability)
    cases["padded crop"] = crop(32, 32, 32, 4)
    cases["crop"] = crop(40, 36, 32, 0)
    for name, strengths in {
        "brightness": (0.4, 0, 0, 0), "contrast": (0, 0.4, 0, 0), "saturation": (0, 0, 0.4, 0),
        "hue": (0, 0, 0, 0.1), "all": (0.8, 0.8, 0.8, 0.3),
    }.items():
        cases[f"jitter of {name}"] = jitter(*strengths)
    cases["erasing of 40x40"] = erasing(40, 40, 0.5)
    cases["erasing of 16x50"] = erasing(16, 50, 0.25)
    cases["cutout of 32x32"] = cutout(32, 32, 16)
    cases["cutout of 20x12"] = cutout(20, 12, 8)
    cases["augment"] = augmented("rand-m9-n2-mstd0.5")
    cases["augment, increasing"] = augmented("rand-m5-n3-mstd1-inc1")
    counts = {
        "level 9": augmented_counts("rand-m9-n1-mstd0"),
        "level 9, increasing": augmented_counts("rand-m9-n1-mstd0-inc1"),
    }
    with open("draws.json", "w") as file:
        file.write(json.dumps({"cases": cases, "rand_augment": counts}, separators=(",", ":"))
                   .replace('},"', '},\n"') + "\n")


main()
