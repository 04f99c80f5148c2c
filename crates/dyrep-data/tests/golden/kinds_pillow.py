"""Holds kinds.bin against Pillow: python3 kinds_pillow.py (Pillow 13.0, numpy). Prints, for each file, the largest difference
between the pixels that are expected and those of Pillow's `convert("RGBA")`, composed on white and on BACKGROUND, and its
`convert("L")` of what is on white.

Pillow differs where it is known to: it keeps the high byte of 16-bit samples, where ours are rounded, and clips 16-bit grey
to 255, so those are held against its samples rounded by hand. Around a GIF's frame that is smaller than the picture it shows the
first colour, where browsers, and ours, show what lies behind.

Seen with Pillow 13.0 on 2026-11-29: 0 for every file, but 1 for 16 bits in colour or with alpha, and that GIF. It does not read P7."""

import csv
import io

import numpy as np
from PIL import Image

from kinds import BACKGROUND, WHITE

DATA = open("kinds.bin", "rb").read()


def on(image, colour):
    rgba = np.asarray(image.convert("RGBA")).astype(int)
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    return (2 * (rgb * alpha + np.array(colour) * (255 - alpha)) + 255) // 510


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.seek(0)
    if image.mode.startswith("I"):  # 16 bits of grey
        return Image.fromarray(((np.asarray(image).astype(int) * 255 + 32767) // 65535).astype(np.uint8))
    return image


worst = {}
for kind, variant, width, height, offset, length in csv.reader(open("kinds.csv"), delimiter=";"):
    width, height, offset, length = map(int, (width, height, offset, length))
    size = width * height
    at = offset + length
    white, other = (np.frombuffer(DATA, np.uint8, 3 * size, at + n * 3 * size).reshape(height, width, 3).astype(int) for n in (0, 1))
    grey = np.frombuffer(DATA, np.uint8, size, at + 6 * size).reshape(height, width).astype(int)
    try:
        image = opened(DATA[offset:at])
        mine = on(image, WHITE)
        luma = np.asarray(Image.fromarray(mine.astype(np.uint8)).convert("L")).astype(int)
        differences = [int(np.abs(a - b).max()) for a, b in ((mine, white), (on(image, BACKGROUND), other), (luma, grey))]
        print(f"{kind:5} {variant:36} {image.mode:5} {differences}")
    except Exception as error:  # what Pillow cannot read
        print(f"{kind:5} {variant:36} Pillow: {error}")
