"""Makes regions.png, shapes.png and shapes.csv with Pillow and torchvision: parts of the two
photographs, and what resizing, cropping and flipping makes of them. Run in this folder:
python3 shapes.py

regions.png holds a part of each photograph as Pillow decodes it, one above the other. shapes.csv
lists source, operation, arguments, the result's size, where it begins in shapes.png (results that
must be equal to the byte are not kept there) and the CRC-32 of its bytes.

Needs Pillow, numpy, torch and torchvision; see README.md for the versions that were used."""

import csv
import zlib

import numpy as np
from PIL import Image
from torchvision.transforms import functional as F

REGIONS = {"china": (90, 120), "flower": (170, 110)}
WIDTH, HEIGHT = 192, 128
SMALL = 48

# Options of RandomResizedCrop, and the box that it draws for sample i of epoch 0 under seed 7 in
# 192 × 128 pixels. The test reads the box off our generator and fails if it is another one.
# (i, scale, left, top, width, height)
BOXES = [
    (0, (0.08, 1.0), 16, 6, 140, 120),
    (1, (0.08, 1.0), 71, 1, 99, 125),
    (2, (0.08, 1.0), 13, 33, 46, 50),
    (3, (0.01, 0.03), 116, 89, 20, 17),
    (4, (0.01, 0.03), 37, 48, 26, 22),
    (5, (0.001, 0.003), 147, 110, 7, 9),
]


def shapes(image):
    """(operation, arguments, result, whether it must be equal to the byte) of one source."""
    for size in (64, 33, 7, 1):
        yield "resize", [size], F.resize(image, size), False
    # Enlarged, from a part at the upper left corner: width, height, size.
    for width, height, size in ((40, 30, SMALL), (9, 16, 20), (47, 60, 48), (1, 3, 5)):
        yield "enlarge", [width, height, size], F.resize(image.crop((0, 0, width, height)), size), False
    for i, scale, left, top, width, height in BOXES:
        crop = F.resized_crop(image, top, left, height, width, [SMALL, SMALL])
        yield "crop and resize", [i, *scale, left, top, width, height], crop, False
    yield "flip", [], F.hflip(image), True
    yield "flip", [51], F.hflip(image.crop((0, 0, 51, 20))), True
    for size in (128, 127, 97, 64, 1):
        yield "center crop", [size], F.center_crop(image, size), True
    padded = F.pad(image.crop((0, 0, 32, 32)), 2)
    for top in range(5):
        for left in range(5):
            yield "padded crop", [top, left], F.crop(padded, top, left, 32, 32), True


def main():
    rows, regions, pictures, bottom = [], [], [], 0

    def record(source, operation, arguments, image, place=""):
        check = zlib.crc32(image.tobytes())
        arguments = " ".join(map(str, arguments))
        rows.append((source, operation, arguments, image.width, image.height, place, check))

    def keep(source, operation, arguments, image):
        nonlocal bottom
        record(source, operation, arguments, image, bottom)
        pixels = np.asarray(image.convert("RGB"))
        pictures.append(np.pad(pixels, ((0, 0), (0, 96 - image.width), (0, 0))))
        bottom += image.height

    for name, (left, top) in REGIONS.items():
        photograph = Image.open(f"../photographs/{name}.jpg").convert("RGB")
        region = photograph.crop((left, top, left + WIDTH, top + HEIGHT))
        regions.append(np.asarray(region))
        record(name, "decode", [left, top], photograph)
        keep(name, "decode and resize", [64], F.resize(photograph, 64))
        source, image = name, region
        if name == "china":
            # One channel: the green one, which needs no agreement about how colours become grey.
            source, image = "china green", region.getchannel(1)
        for operation, arguments, result, exact in shapes(image):
            (record if exact else keep)(source, operation, arguments, result)
    with open("shapes.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n", delimiter=";").writerows(rows)
    Image.fromarray(np.concatenate(regions)).save("regions.png", optimize=True)
    Image.fromarray(np.concatenate(pictures)).save("shapes.png", optimize=True)


main()
