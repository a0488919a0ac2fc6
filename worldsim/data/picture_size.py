"""The size of a picture as its header tells it: PNG, JPEG, BMP, WebP, TIFF. No pixel is unpacked.

A few hundred bytes can claim gigapixels, and a decoder believes them.
"""

import struct

_JPEG_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of frames
_JPEG_ALONE = {0x01, 0xFF, *range(0xD0, 0xD8)}  # markers without a length
_TIFF_KINDS = {1: "B", 3: "H", 4: "I"}
_MOST_TAGS = 4096


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height; None where the bytes are no picture of these kinds, or cut short."""
    try:
        for magic, read in _READERS:
            if data.startswith(magic):
                return read(data)
    except (struct.error, IndexError):
        pass
    return None


def _read_png(data: bytes) -> tuple[int, int] | None:
    return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" else None


def _read_jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        alone = marker in _JPEG_ALONE
        at += 1 if marker == 0xFF else 2
        at += 0 if alone else struct.unpack_from(">H", data, at)[0]
    return None


def _read_bmp(data: bytes) -> tuple[int, int]:
    old = struct.unpack_from("<I", data, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    return abs(width), abs(height)


def _read_webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16] if data[8:12] == b"WEBP" else b""
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
        return width + 1, height + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _read_tiff(data: bytes) -> tuple[int, int] | None:
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, start)[0]
    sizes = {256: 0, 257: 0}
    for entry in range(start + 2, start + 2 + 12 * min(count, _MOST_TAGS), 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in sizes and kind in _TIFF_KINDS:
            value = struct.unpack_from(order + _TIFF_KINDS[kind], data, entry + 8)[0]
            sizes[tag] = max(sizes[tag], value)
    return (sizes[256], sizes[257]) if all(sizes.values()) else None


_READERS = (
    (b"\x89PNG\r\n\x1a\n", _read_png),
    (b"\xff\xd8\xff", _read_jpeg),
    (b"BM", _read_bmp),
    (b"RIFF", _read_webp),
    (b"II*\0", _read_tiff),
    (b"MM\0*", _read_tiff),
)
