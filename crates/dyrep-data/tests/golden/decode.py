"""Makes decode.bin, decode.csv and decode.png with Pillow: files of many kinds, and what Pillow
decodes them to. Run in this folder: python3 decode.py

decode.bin is the files one after the other, decode.csv says where each begins, and decode.png holds
the decoded pictures one above the other; several files may decode to the same picture.

Needs Pillow, numpy, PyTurboJPEG and the program cjpeg; see README.md for the versions used."""

import csv
import io
import struct
import subprocess
import tempfile
import zlib

import numpy as np
import turbojpeg
from PIL import Image

SIZES = [(1, 1), (7, 5), (17, 9), (33, 31), (63, 65)]
LARGEST = SIZES[-1]

# Sampling factors in cjpeg's words. The first five are the usual ones; of the others, the first two
# are usual ones written differently, and the last has more samples of Cr than of Cb.
SAMPLING = {
    "4:4:4": "1x1", "4:2:2": "2x1", "4:2:0": "2x2", "4:4:0": "1x2", "4:1:1": "4x1",
    "4:2:2 by twos": "2x2,1x2,1x2", "4:4:0 by twos": "2x2,2x1,2x1",
    "4:1:0": "4x2", "4:4:1": "1x4", "3:1:1": "3x1", "uneven": "2x1,1x1,2x1",
}
USUAL = list(SAMPLING)[:5]


def photograph(size):
    """A part of a flower with colours that change within a few pixels."""
    left, top = 200, 150
    image = Image.open("../photographs/flower.jpg").convert("RGB")
    return image.crop((left, top, left + size[0], top + size[1]))


def noise(size):
    """No two neighbouring pixels alike: the worst that upsampling can be given."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def cjpeg(image, *options):
    ppm = io.BytesIO()
    image.save(ppm, "PPM")
    run = subprocess.run(["cjpeg", *options], input=ppm.getvalue(), capture_output=True, check=True)
    return run.stdout


def pillow(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def cmyk(image):
    """Half of the black that the colours share is printed in black."""
    inks = 255 - np.asarray(image.convert("RGB")).astype(int)
    black = inks.min(axis=2, keepdims=True) // 2
    return np.concatenate([inks - black, black], axis=2).astype(np.uint8)


def ycck(image, sampling):
    inverted = np.ascontiguousarray(255 - cmyk(image))  # as Adobe's programs store inks
    return turbojpeg.TurboJPEG().encode(
        inverted, quality=90, pixel_format=turbojpeg.TJPF_CMYK, jpeg_subsample=sampling)


def without(file, marker):
    """The JPEG without its segment of this marker."""
    at = file.index(bytes([0xFF, marker]))
    return file[:at] + file[at + 2 + int.from_bytes(file[at + 2:at + 4], "big"):]


def renamed(file, names):
    """The JPEG with other names of its three components."""
    data = bytearray(file)
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for i, name in enumerate(names):
        data[frame + 10 + 3 * i] = name
        data[scan + 5 + 2 * i] = name
    return bytes(data)


def png(width, height, bits, colour, rows):
    """A PNG that Pillow cannot write: rows of bytes, without filters."""

    def chunk(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def sixteen(channels):
    """16-bit samples over the whole range, 16 × 16: ours is checked against the same formula."""
    at = np.arange(16 * 16 * channels, dtype=np.uint32)
    rows = (at * 40503 % 65536).astype(">u2").reshape(16, -1)
    return png(16, 16, 16, {1: 0, 3: 2}[channels], [row.tobytes() for row in rows])


def sampled():
    """(kind, how, file) of JPEGs in YCbCr."""
    for kind, factors in SAMPLING.items():
        sample = ["-quality", "90", "-sample", factors]
        for size in SIZES if kind in USUAL else SIZES[-2:-1]:
            image = photograph(size)
            yield kind, "baseline", cjpeg(image, *sample)
            yield kind, "progressive", cjpeg(image, *sample, "-progressive")
        if kind in USUAL:
            yield f"noise, {kind}", "baseline", cjpeg(noise((36, 34)), *sample)
            yield kind, "quality 50", cjpeg(image, "-quality", "50", "-sample", factors)
            yield kind, "restart", cjpeg(image, *sample, "-restart", "2B")
    for number, kind in enumerate(["4:4:4", "4:2:2", "4:2:0"]):
        image = photograph(LARGEST)
        yield kind, "Pillow", pillow(image, quality=90, subsampling=number)
        yield kind, "optimised", pillow(image, quality=90, subsampling=number, optimize=True)


def unusual():
    """(kind, how, file) of what is rarer, at one size."""
    image = photograph(LARGEST)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as script:
        script.write("0;\n1;\n2;\n")
        script.flush()
        yield "scans of one component", "4:2:0", cjpeg(image, "-quality", "90", "-scans", script.name)
    yield "4:2:0", "16-bit quantisation", cjpeg(image, "-quality", "1")
    yield "4:2:0", "progressive, restart", cjpeg(image, "-progressive", "-restart", "1")
    plain = pillow(image, quality=90, subsampling=0)
    yield "4:4:4", "no JFIF", without(plain, 0xE0)
    yield "4:4:4", "components 0, 1, 2", renamed(without(plain, 0xE0), [0, 1, 2])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        small = photograph((17, 9))
        yield "4:4:4", f"orientation {orientation}", pillow(small, subsampling=0, exif=exif)

    grey = image.convert("L")
    yield "grey", "baseline", pillow(grey, quality=90)
    yield "grey", "progressive", pillow(grey, quality=90, progressive=True)
    yield "grey", "sampled 2x2", cjpeg(grey, "-quality", "90", "-sample", "2x2")
    yield "RGB", "baseline", pillow(image, quality=90, keep_rgb=True)
    yield "RGB", "by names alone", without(cjpeg(image, "-quality", "90", "-rgb"), 0xEE)
    inks = Image.fromarray(cmyk(image), "CMYK")
    yield "CMYK", "Adobe", pillow(inks, quality=90)
    yield "CMYK", "progressive", pillow(inks, quality=90, progressive=True)
    yield "CMYK", "no Adobe marker", without(pillow(inks, quality=90), 0xEE)
    yield "YCCK", "4:4:4", ycck(image, turbojpeg.TJSAMP_444)
    yield "YCCK", "4:2:0", ycck(image, turbojpeg.TJSAMP_420)
    yield "arithmetic", "4:2:0", cjpeg(photograph((33, 31)), "-arithmetic")

    for how, picture in {
        "RGB": image.crop((0, 0, 33, 31)),
        "grey": grey.crop((0, 0, 33, 31)),
        "palette": image.crop((0, 0, 33, 31)).quantize(200),
        "palette of 4 bits": image.crop((0, 0, 33, 31)).quantize(16),
        "one bit": image.crop((0, 0, 33, 31)).convert("1"),
    }.items():
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=how != "palette of 4 bits", **(
            {"bits": 4} if how == "palette of 4 bits" else {}))
        yield "PNG", how, file.getvalue()
    yield "PNG of 16 bits", "RGB", sixteen(3)
    yield "PNG of 16 bits", "grey", sixteen(1)


def main():
    rows, data, pictures, tops, height = [], b"", [], {}, 0
    for kind, how, file in [*sampled(), *unusual()]:
        decoded = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        key = decoded.tobytes() + bytes(decoded.shape)
        if key not in tops:
            tops[key] = height
            height += decoded.shape[0]
            pictures.append(np.pad(decoded, ((0, 0), (0, LARGEST[0] - decoded.shape[1]), (0, 0))))
        rows.append((kind, how, decoded.shape[1], decoded.shape[0], tops[key], len(data), len(file)))
        data += file
    with open("decode.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n", delimiter=";").writerows(rows)
    with open("decode.bin", "wb") as file:
        file.write(data)
    Image.fromarray(np.concatenate(pictures)).save("decode.png", optimize=True)


main()
