"""Partition tables of images, with checksums and all, as sfdisk would make them."""

import struct
import uuid
import zlib

SECTOR = 512
GPT_ENTRIES = 128
BASIC_DATA = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")


def write_at(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def mbr(entries):
    """Of (type, first sector, sectors)."""
    table = b"".join(struct.pack("<B3sB3sII", 0, b"", kind, b"", first, count)
                     for kind, first, count in entries)
    return table.ljust(64, b"\0") + b"\x55\xaa"


def write_mbr(path, places):
    """Primary partitions at `places`: (first sector, sectors)."""
    write_at(path, 446, mbr([(6, first, count) for first, count in places]))


def gpt_header(own, other, sectors, disk, entries_at, entries):
    def packed(checksum):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other,
                           34, sectors - 34, disk.bytes_le, entries_at, GPT_ENTRIES, 128,
                           zlib.crc32(entries))
    return packed(zlib.crc32(packed(0)))


def write_gpt(path, places):
    """Both copies."""
    sectors = path.stat().st_size // SECTOR
    disk = uuid.uuid4()
    entries = b"".join(
        struct.pack("<16s16sQQQ72s", BASIC_DATA.bytes_le, uuid.uuid4().bytes_le, first,
                    first + count - 1, 0, b"")
        for first, count in places).ljust(GPT_ENTRIES * 128, b"\0")
    write_at(path, 446, mbr([(0xee, 1, min(sectors - 1, 0xffffffff))]))
    write_at(path, SECTOR, gpt_header(1, sectors - 1, sectors, disk, 2, entries))
    write_at(path, 2 * SECTOR, entries)
    write_at(path, (sectors - 33) * SECTOR, entries)
    write_at(path, (sectors - 1) * SECTOR,
             gpt_header(sectors - 1, 1, sectors, disk, sectors - 33, entries))
