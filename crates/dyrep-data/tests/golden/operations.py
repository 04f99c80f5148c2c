"""Makes operations.csv, rgb.png and grey.png with Pillow and torchvision, to hold the operations
of src/transform/ops against. Run in this folder: python3 operations.py

Needs Pillow, numpy, torch and torchvision; see README.md for the versions that were used."""

import csv

import numpy as np
from PIL import Image, ImageOps
from torchvision.transforms import functional as F

WIDTH, HEIGHT = 26, 22
FILL = (124, 116, 104)


def picture():
    """Ramps, a flat square and noise; green keeps to a part of the range, so that stretching shows."""
    state, rows = 12345, []
    for y in range(HEIGHT):
        row = []
        for x in range(WIDTH):
            noise = []
            for _ in range(3):
                state = (state * 1664525 + 1013904223) % 2**32
                noise.append(state >> 24)
            if 4 <= x < 9 and 5 <= y < 10:
                row.append((200, 60, 90))
            elif x < WIDTH // 2:
                row.append((x * 11 + noise[0] // 16, 40 + y * 5, 255 - x * 9 - noise[2] // 8))
            else:
                row.append((noise[0], 45 + noise[1] // 2, noise[2]))
        rows.append(row)
    return Image.fromarray(np.array(rows, dtype=np.uint8), "RGB")


def affine(image, matrix):
    fill = FILL if image.mode == "RGB" else FILL[0]
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill
    )


def rotate(image, degrees):
    fill = FILL if image.mode == "RGB" else FILL[0]
    return image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill)


def solarize_add(image, add):
    return image.point([min(255, i + add) if i < 128 else i for i in range(256)] * len(image.getbands()))


CASES = {
    "brightness": (F.adjust_brightness, [0.0, 0.37, 0.9, 1.0, 1.45, 3.2]),
    "contrast": (F.adjust_contrast, [0.0, 0.37, 0.9, 1.0, 1.45, 3.2]),
    "saturation": (F.adjust_saturation, [0.0, 0.37, 0.9, 1.0, 1.45, 3.2]),
    "hue": (F.adjust_hue, [-0.5, -0.13, 0.0, 0.1, 0.31, 0.5]),
    "sharpness": (F.adjust_sharpness, [0.0, 0.1, 0.55, 1.0, 1.72, 3.2]),
    "auto_contrast": (lambda image, _: ImageOps.autocontrast(image), [0]),
    "equalize": (lambda image, _: ImageOps.equalize(image), [0]),
    "invert": (lambda image, _: ImageOps.invert(image), [0]),
    "posterize": (ImageOps.posterize, [1, 3, 4, 7, 8]),
    "solarize": (ImageOps.solarize, [0, 100, 230, 256]),
    "solarize_add": (solarize_add, [0, 55, 110]),
    "rotate": (rotate, [-27.0, 3.5, 13.0, 30.0]),
    "shear_x": (lambda image, by: affine(image, (1, by, 0, 0, 1, 0)), [-0.27, 0.11]),
    "shear_y": (lambda image, by: affine(image, (1, 0, 0, by, 1, 0)), [-0.27, 0.11]),
    "translate_x": (lambda image, by: affine(image, (1, 0, by * image.width, 0, 1, 0)), [-0.41, 0.15]),
    "translate_y": (lambda image, by: affine(image, (1, 0, 0, 0, 1, by * image.height)), [-0.41, 0.15]),
}


def stack(images):
    """One picture above the other, the untouched one first."""
    return Image.fromarray(np.concatenate([np.asarray(image) for image in images]))


def main():
    rgb = picture()
    grey = rgb.convert("L")
    rows, coloured, uncoloured = [], [rgb], [grey]
    for name, (function, arguments) in CASES.items():
        for argument in arguments:
            rows.append((name, argument))
            coloured.append(function(rgb, argument))
            uncoloured.append(function(grey, argument))
    with open("operations.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    stack(coloured).save("rgb.png", optimize=True)
    stack(uncoloured).save("grey.png", optimize=True)


main()
