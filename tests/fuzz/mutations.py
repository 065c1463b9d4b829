"""Damage to whole files: single bytes of any file, lines and numbers of those that are text."""

from __future__ import annotations

import random
import re

# What has broken readers: signs, ends of ranges, numbers that are none, other ways to write them, and much of anything.
WORDS = [
    *(b"-1", b"0", b"1", b"2", b"3", b"7", b"255", b"65536", b"2147483647", b"-2147483648", b"4294967296"),
    *(
        b"9223372036854775807",
        b"99999999999999999999",
        b"1e308",
        b"-1e-308",
        b"1e999",
        b"nan",
        b"inf",
        b"1,5",
    ),
    *(
        b"0x10",
        b"1_0",
        b"",
        b"none",
        b"(1,0,0)",
        b"(nan,nan,nan)",
        b"()",
        b"/dev/zero",
        b"../data.raw",
        b"LIST",
    ),
    *(
        b"LOCAL",
        b"%d 1 9 1",
        b"True",
        b"gzip",
        b"bzip2",
        b"hex",
        b"ascii",
        b"raw",
        b"\0",
        b"\xff\xfe",
        b"\xc2\xb5m",
    ),
    *(b"A" * 1100, b"9" * 500, b"\x1b[31m", b'"mm" "um" "cm"', b"domain", b"vector", b"list", b"big"),
]
MOST_CHANGES = 8


def mutated(rng: random.Random, seed: bytes) -> bytes:
    """A seed with some damage; now and then none."""
    data = bytearray(seed)
    for _ in range(rng.randint(0, MOST_CHANGES)):
        (_lines if rng.random() < 0.4 else _bytes)(rng, data)
    if rng.random() < 0.2:
        del data[rng.randrange(len(data) + 1) :]
    return bytes(data)


def _bytes(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    content = rng.choice(WORDS) if rng.random() < 0.3 else rng.randbytes(rng.randint(1, 8))
    data[at : at if rng.random() < 0.3 else at + len(content)] = content


def _lines(rng: random.Random, data: bytearray) -> None:
    """Repeat, drop, move or lengthen a line, or replace a word of it."""
    end = data.find(b"\n\n")
    head = bytes(data[: end if end >= 0 else min(len(data), 4000)])
    lines = head.split(b"\n")
    at = rng.randrange(len(lines))
    choice = rng.randrange(6)
    if choice == 0:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif choice == 1:
        del lines[at]
    elif choice == 2:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif choice == 3:
        lines[at] += rng.choice(WORDS)
    else:
        words = re.split(rb"([\s,()=:\"]+)", lines[at])
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        lines[at] = b"".join(words)
    data[: len(head)] = b"\n".join(lines)
