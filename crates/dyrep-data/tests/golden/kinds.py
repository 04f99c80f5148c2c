"""Makes kinds.bin and kinds.csv: a small picture in every kind of file and of pixels, and what is to
be read from it. Run in this folder: python3 kinds.py

Files that nothing is lost in hold known samples, so the samples are what is expected; they are written
here byte by byte, or by OpenCV where compression is more than a few lines. Of lossy files, what
OpenCV (libjpeg-turbo, libwebp) decodes is expected.

kinds.bin holds, for each file, its bytes, then its pixels in RGB over white, in RGB over BACKGROUND,
and in grey over white. A line of kinds.csv is kind, variant, width, height, offset and length.

Needs numpy and OpenCV; see README.md for the versions used."""

import struct
import zlib

import cv2
import numpy as np

BACKGROUND = (10, 200, 30)
WHITE = (255, 255, 255)
WIDTH, HEIGHT = 7, 5


def pixels(channels, most=255):
    """Every pixel differs from its neighbours; the last channel has both ends of its range."""
    at = np.arange(WIDTH * HEIGHT * channels)
    values = (at * 7919 % (most + 1)).reshape(HEIGHT, WIDTH, channels)
    values[0, 0, -1], values[0, 1, -1] = 0, most
    return values


GREY, LA, RGB, RGBA = (pixels(channels) for channels in (1, 2, 3, 4))
OPAQUE = np.concatenate([RGB, np.full((HEIGHT, WIDTH, 1), 255)], -1)
BIT = pixels(1) % 2
COLOURS = pixels(3)[:2, :6].reshape(12, 3)
INDICES = pixels(1) % 12
PALETTE = COLOURS[INDICES[..., 0]]
SMOOTH = np.linspace([[40, 60, 200]] * WIDTH, [[200, 90, 70]] * WIDTH, HEIGHT).astype(int)


def png(bits, colour, samples, *chunks):
    """Rows without filters."""

    def chunk(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, 0)
    if bits < 8:
        rows = np.packbits(samples.reshape(HEIGHT, -1).astype(np.uint8), axis=1)
    else:
        rows = samples.astype(">u2" if bits == 16 else "u1").reshape(HEIGHT, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 9)
    middle = b"".join(chunk(*each) for each in chunks)
    ends = chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + ends


def bmp(bits, rows, colours=b"", masks=b""):
    """Rows of packed samples, the last first."""
    padded = b"".join(row + bytes(-len(row) % 4) for row in reversed(rows))
    offset = 54 + len(colours) + len(masks)
    head = struct.pack("<2sIHHI", b"BM", offset + len(padded), 0, 0, offset)
    count = len(colours) // 4
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, 0, len(padded), 0, 0, count, 0)
    return head + info + masks + colours + padded


def bgr0(colours):
    return b"".join(bytes([*map(int, colour[::-1]), 0]) for colour in colours)


def lzw(indices):
    """GIF's codes of 5 bits for 4-bit indices: the table is cleared before codes would get longer."""
    codes = []
    for at, index in enumerate(indices):
        codes += [16] * (at % 14 == 0) + [int(index)]
    number = sum(code << (5 * at) for at, code in enumerate([*codes, 17]))
    return number.to_bytes((5 * (len(codes) + 1) + 7) // 8, "little")


def gif(*frames, transparent=None, corner=(0, 0)):
    """Frames of indices, and perhaps one that is transparent."""
    colours = np.concatenate([COLOURS, np.zeros((4, 3))]).astype(np.uint8).tobytes()
    file = b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, 0xB3, 0, 0) + colours
    for frame in frames:
        if transparent is not None:
            file += bytes([0x21, 0xF9, 4, 1, 0, 0, transparent, 0])
        data = lzw(frame.ravel())
        height, width = frame.shape[:2]
        file += struct.pack("<BHHHHBBB", 0x2C, *corner, width, height, 0, 4, len(data)) + data + b"\0"
    return file + b";"


def tiff(photometric, samples, bits=8, extra=None, packing=1, order="<"):
    """One strip, in either order of bytes."""
    channels = samples.shape[-1]
    if bits == 1:
        data = np.packbits(samples.reshape(HEIGHT, -1).astype(np.uint8), axis=1).tobytes()
    else:
        data = samples.astype(f"{order}u{bits // 8}").tobytes()
    if packing == 8:
        data = zlib.compress(data)
    if packing == 32773:
        pieces = [data[at:at + 100] for at in range(0, len(data), 100)]
        data = b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)
    tags = {256: WIDTH, 257: HEIGHT, 258: [bits] * channels, 259: packing, 262: photometric,
            273: None, 277: channels, 278: HEIGHT, 279: len(data)}
    if extra is not None:
        tags[338] = extra
    start = 8 + 2 + 12 * len(tags) + 4
    depths = struct.pack(f"{order}{channels}H", *[bits] * channels)
    tags[273] = start + len(depths)
    entries = b""
    for tag, value in sorted(tags.items()):
        if tag == 258 and channels > 2:
            entries += struct.pack(f"{order}HHII", tag, 3, channels, start)
        elif tag == 258:
            entries += struct.pack(f"{order}HHI", tag, 3, channels) + depths + bytes(4 - len(depths))
        elif tag == 338:
            entries += struct.pack(f"{order}HHIHxx", tag, 3, 1, value)
        else:
            entries += struct.pack(f"{order}HHII", tag, 4, 1, value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + bytes(4) + depths + data


def opencv(ending, samples, *options):
    swapped = samples[..., [2, 1, 0, 3][:samples.shape[-1]]] if samples.shape[-1] > 2 else samples
    written, file = cv2.imencode(ending, swapped.astype(np.uint8), options)
    assert written
    return file.tobytes()


def decoded(file):
    found = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    found = found.reshape(HEIGHT, WIDTH, -1).astype(int)
    return found[..., [2, 1, 0, 3][:found.shape[-1]]] if found.shape[-1] > 2 else found


def numbers(magic, samples, *most):
    """A PNM as text."""
    lines = [magic, f"{WIDTH} {HEIGHT}", *map(str, most)]
    lines += [" ".join(map(str, row)) for row in samples.reshape(HEIGHT, -1)]
    return ("\n".join(lines) + "\n").encode()


def with_alpha(samples, opacity):
    return np.concatenate([samples, opacity.reshape(HEIGHT, WIDTH, 1)], -1)


def pngs():
    yield "bit", png(1, 0, BIT), 255 * BIT, 255
    yield "grey", png(8, 0, GREY), GREY, 255
    one = struct.pack(">H", GREY[2, 3, 0])
    yield "grey, one value transparent", png(8, 0, GREY, (b"tRNS", one)), with_alpha(GREY, 255 * (GREY != GREY[2, 3])), 255
    yield "grey and alpha", png(8, 4, LA), LA, 255
    colours = (b"PLTE", COLOURS.astype(np.uint8).tobytes())
    yield "palette", png(8, 3, INDICES, colours), PALETTE, 255
    opacity = np.array([0, 100, 255, 30] + [255] * 8)
    yield "palette, some transparent", png(8, 3, INDICES, colours, (b"tRNS", bytes([0, 100, 255, 30]))), with_alpha(PALETTE, opacity[INDICES]), 255
    yield "RGB", png(8, 2, RGB), RGB, 255
    one = struct.pack(">HHH", *RGB[2, 3])
    yield "RGB, one colour transparent", png(8, 2, RGB, (b"tRNS", one)), with_alpha(RGB, 255 * (RGB != RGB[2, 3]).any(-1)), 255
    yield "RGBA", png(8, 6, RGBA), RGBA, 255
    yield "RGBA, opaque", png(8, 6, OPAQUE), RGB, 255
    for colour, channels, name in [(0, 1, "grey"), (4, 2, "grey and alpha"), (2, 3, "RGB"), (6, 4, "RGBA")]:
        samples = pixels(channels, 65535)
        yield f"{name} of 16 bits", png(16, colour, samples), samples, 65535


def webps():
    lossless = (cv2.IMWRITE_WEBP_QUALITY, 101)
    yield "RGB", opencv(".webp", RGB, *lossless), RGB, 255
    # What is wholly transparent may change its colour.
    for name, samples in {"RGBA": RGBA, "RGBA, opaque": OPAQUE}.items():
        yield name, opencv(".webp", samples, *lossless), samples, 255
    frames = cv2.Animation()
    frames.frames = [RGB[..., ::-1].astype(np.uint8), RGB[::-1, :, ::-1].astype(np.uint8)]
    frames.durations = [100, 100]
    written, file = cv2.imencodeanimation(".webp", frames, lossless)
    assert written
    yield "two frames", file.tobytes(), RGB, 255
    lossy = opencv(".webp", SMOOTH, cv2.IMWRITE_WEBP_QUALITY, 90)
    yield "lossy", lossy, decoded(lossy), 255
    lossy = opencv(".webp", with_alpha(SMOOTH, GREY), cv2.IMWRITE_WEBP_QUALITY, 90)
    yield "lossy with alpha", lossy, decoded(lossy), 255


def bmps():
    rows = [np.packbits(row.ravel().astype(np.uint8)).tobytes() for row in BIT]
    yield "bit", bmp(1, rows, bgr0([[0] * 3, [255] * 3])), 255 * BIT, 255
    rows = [row.astype(np.uint8).tobytes() for row in INDICES]
    yield "palette", bmp(8, rows, bgr0(COLOURS)), PALETTE, 255
    rows = [row[:, ::-1].astype(np.uint8).tobytes() for row in RGB]
    yield "RGB", bmp(24, rows), RGB, 255
    # The fourth byte means nothing.
    rows = [bgr0(row) for row in RGB]
    yield "RGB of 32 bits", bmp(32, rows), RGB, 255


def gifs():
    yield "palette", gif(INDICES), PALETTE, 255
    yield "one transparent", gif(INDICES, transparent=3), with_alpha(PALETTE, 255 * (INDICES != 3)), 255
    yield "two frames", gif(INDICES, INDICES[::-1]), PALETTE, 255
    small = np.zeros((HEIGHT, WIDTH, 4), int)
    small[1:4, 2:6] = with_alpha(PALETTE, 255 * np.ones_like(INDICES))[:3, :4]
    yield "a frame smaller than the picture", gif(INDICES[:3, :4], corner=(2, 1)), small, 255


def tiffs():
    yield "bit", tiff(1, BIT, bits=1), 255 * BIT, 255
    yield "bit, white is 0", tiff(0, BIT, bits=1), 255 - 255 * BIT, 255
    yield "grey", tiff(1, GREY), GREY, 255
    yield "grey, white is 0", tiff(0, GREY), 255 - GREY, 255
    samples = pixels(1, 65535)
    yield "grey of 16 bits", tiff(1, samples, bits=16), samples, 65535
    samples = pixels(3, 65535)
    yield "RGB of 16 bits, high byte first", tiff(2, samples, bits=16, order=">"), samples, 65535
    yield "RGB", tiff(2, RGB), RGB, 255
    yield "RGB, high byte first", tiff(2, RGB, order=">"), RGB, 255
    yield "RGBA", tiff(2, RGBA, extra=2), RGBA, 255
    inks = 255 - RGBA
    light = np.rint(RGBA[..., :3] * RGBA[..., 3:] / 255).astype(int)
    yield "CMYK", tiff(5, inks), light, 255
    yield "deflate", tiff(2, RGB, packing=8), RGB, 255
    yield "packbits", tiff(2, RGB, packing=32773), RGB, 255
    yield "lzw", opencv(".tiff", RGB, cv2.IMWRITE_TIFF_COMPRESSION, 5), RGB, 255
    lossy = opencv(".tiff", SMOOTH, cv2.IMWRITE_TIFF_COMPRESSION, 7)
    yield "jpeg", lossy, decoded(lossy), 255


def pnms():
    rows = b"".join(np.packbits(row.ravel().astype(np.uint8)).tobytes() for row in BIT)
    yield "P4", b"P4 7 5\n" + rows, 255 - 255 * BIT, 255
    yield "P5", b"P5 7 5 255\n" + GREY.astype(np.uint8).tobytes(), GREY, 255
    yield "P6", b"P6 7 5 255\n" + RGB.astype(np.uint8).tobytes(), RGB, 255
    yield "P1", numbers("P1", BIT), 255 - 255 * BIT, 255
    yield "P2", numbers("P2", GREY, 255), GREY, 255
    yield "P3", numbers("P3", RGB, 255), RGB, 255
    samples = pixels(1, 100)
    light = np.floor(samples / 100 * 255 + 0.5).astype(int)
    yield "P5 up to 100", b"P5 7 5 100\n" + samples.astype(np.uint8).tobytes(), light, 255
    samples = pixels(1, 65535)
    yield "P5 of 16 bits", b"P5 7 5 65535\n" + samples.astype(">u2").tobytes(), samples, 65535
    head = b"P7\nWIDTH 7\nHEIGHT 5\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    yield "P7", head + RGBA.astype(np.uint8).tobytes(), RGBA, 255


def jpegs():
    best = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)
    for name, samples in {"grey": GREY, "RGB": SMOOTH}.items():
        file = opencv(".jpg", samples, *best)
        yield name, file, decoded(file), 255
    second = opencv(".jpg", SMOOTH[::-1], *best)
    yield "two pictures", file + second, decoded(file), 255


KINDS = {"png": pngs, "webp": webps, "bmp": bmps, "gif": gifs, "tiff": tiffs, "pnm": pnms, "jpeg": jpegs}


def over(samples, most, background):
    """What a viewer shows, rounded once to nearest. DIFFERENCE: Pillow's `convert("RGB")` drops
    transparency, cuts 16-bit grey off at 255 and drops the lower byte of 16-bit colour."""
    samples, most, background = samples.astype(object), int(most), np.array(background, object)
    channels = samples.shape[-1]
    alpha = samples[..., -1:] if channels % 2 == 0 else np.full((HEIGHT, WIDTH, 1), most, object)
    colour = samples[..., :3] if channels > 2 else np.repeat(samples[..., :1], 3, -1)
    step = most // 255
    parts = colour * alpha + background * step * (most - alpha)
    return ((parts + most * step // 2) // (most * step)).astype(np.uint8)


def luma(rgb):
    """Pillow's `convert("L")`."""
    weighted = rgb.astype(int) @ np.array([19595, 38470, 7471])
    return ((weighted + 32768) >> 16).astype(np.uint8)


def main():
    data, lines = b"", []
    for kind, files in KINDS.items():
        for variant, file, samples, most in files():
            white, other = over(samples, most, WHITE), over(samples, most, BACKGROUND)
            lines.append(f"{kind};{variant};{WIDTH};{HEIGHT};{len(data)};{len(file)}\n")
            data += file + white.tobytes() + other.tobytes() + luma(white).tobytes()
    with open("kinds.bin", "wb") as out:
        out.write(data)
    with open("kinds.csv", "w") as out:
        out.writelines(lines)


main()
