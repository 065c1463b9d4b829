"""Times for SUV: when a PET tracer was injected, and to what moment the activity was decay corrected."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

GE = "GEMS_PETD_01"
GE_SCAN_DATETIME = 0x0D
# After ten half-lives a thousandth of the dose is left: nobody scans then, so one of the dates is wrong.
MOST_HALF_LIVES = 10
# Slower tracers (Cu-64, Zr-89, I-124) are scanned days after injection: a clock time without a date says nothing.
SLOW_HALF_LIFE = 6 * 3600.0
# Moments computed from several slices of one scan agree but for rounding.
SAME_MOMENT = timedelta(seconds=60)


class NoSuvError(Exception):
    """SUV cannot be computed; the message names the tag."""


def value_of(header: Dataset, keyword: str) -> Any:
    """Value of a tag, or None if it is missing or cannot be decoded."""
    try:
        return header.get(keyword)
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
        return None


def private_text(header: Dataset, group: int, creator: str, offset: int) -> str:
    """Value of a private element as text, empty if it is missing; its type is not always told by the file."""
    try:
        value = header.private_block(group, creator)[offset].value
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
        return ""
    text = value.decode("ascii", errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 ")


def seconds_since_injection(headers: Sequence[Dataset], tracer: Dataset, half_life: float) -> float:
    """Seconds from the injection to the moment all slices are corrected to (DecayCorrection START).

    Parameters
    ----------
    headers
        Headers of all slices.
    tracer
        Item of RadiopharmaceuticalInformationSequence.
    half_life
        Of the radionuclide, in seconds.

    Raises
    ------
    NoSuvError
        If a time is missing, or the times contradict each other.
    """
    scan = _scan_start(headers, half_life)
    text = str(value_of(tracer, "RadiopharmaceuticalStartDateTime") or "").strip()
    injected = _datetime(text)
    if injected is not None:
        name = "RadiopharmaceuticalStartDateTime"
        injected += _zone_shift(text, headers[0])
    else:
        name = "RadiopharmaceuticalStartTime"
        clock = str(value_of(tracer, name) or "").strip()
        injected = _datetime(scan.strftime("%Y%m%d") + clock) if clock else None
        if injected is None:
            raise NoSuvError(f"{name} is missing")
        if half_life > SLOW_HALF_LIFE:
            raise NoSuvError(
                "RadiopharmaceuticalStartDateTime is missing, and the tracer lasts for days (RadionuclideHalfLife "
                f"{half_life / 3600:.3g} h)"
            )
        # Only a clock time is known: injected before midnight, scanned after it.
        if injected > scan:
            injected -= timedelta(days=1)
    elapsed = (scan - injected).total_seconds()
    if elapsed < 0:
        raise NoSuvError(f"{name} lies after the scan")
    if elapsed > MOST_HALF_LIVES * half_life:
        raise NoSuvError(f"{name} lies {elapsed / 3600:.3g} h, more than ten half-lives, before the scan")
    return elapsed


def _scan_start(headers: Sequence[Dataset], half_life: float) -> datetime:
    """Moment the slices are corrected to: SeriesTime, unless that was written by later processing."""
    series = _moment(headers[0], "SeriesDate", "SeriesTime")
    if series is None:
        raise NoSuvError("SeriesDate or SeriesTime is missing")
    found = [_moment(header, "AcquisitionDate", "AcquisitionTime") for header in headers]
    acquired = [moment for moment in found if moment is not None]
    if len(acquired) < len(headers):
        raise NoSuvError("AcquisitionDate or AcquisitionTime is missing")
    if series <= min(acquired) + timedelta(seconds=1):
        return series
    written = _ge_scan_start(headers[0])
    if written is not None:
        return written
    return _computed_start(headers, acquired, half_life)


def _ge_scan_start(header: Dataset) -> datetime | None:
    """GE's private (0009,100D), which later processing leaves as it was."""
    return _datetime(private_text(header, 0x0009, GE, GE_SCAN_DATETIME))


def _computed_start(headers: Sequence[Dataset], acquired: Sequence[datetime], half_life: float) -> datetime:
    """Start of the scan from the reference time of each bed position, as QIBA does for Siemens.

    FrameReferenceTime is counted from the start of the scan to the moment within the frame at which the count
    rate has its average.
    """
    starts = []
    decay = math.log(2) / half_life
    for header, moment in zip(headers, acquired, strict=True):
        reference, duration = (
            _milliseconds(header, k) for k in ("FrameReferenceTime", "ActualFrameDuration")
        )
        if reference is None or duration is None:
            missing = "FrameReferenceTime" if reference is None else "ActualFrameDuration"
            raise NoSuvError(f"SeriesTime lies after AcquisitionTime, and {missing} is missing")
        during = decay * duration
        average = math.log(during / -math.expm1(-during)) / decay
        starts.append(moment + timedelta(seconds=average - reference))
    if max(starts) - min(starts) > SAME_MOMENT:
        raise NoSuvError(
            "SeriesTime lies after AcquisitionTime, and FrameReferenceTime differs between the slices"
        )
    return min(starts)


def _milliseconds(header: Dataset, keyword: str) -> float | None:
    """A positive duration in seconds, of a tag in milliseconds."""
    try:
        value = float(value_of(header, keyword)) / 1000.0
    except (TypeError, ValueError):
        return None
    return value if 0 < value < 1e6 else None


def _zone_shift(text: str, header: Dataset) -> timedelta:
    """What brings a moment with a time zone of its own to that of the other times of the file."""
    own, of_file = _zone(text[8:]), _zone(str(value_of(header, "TimezoneOffsetFromUTC") or ""))
    return timedelta() if own is None or of_file is None else of_file - own


def _zone(text: str) -> timedelta | None:
    match = re.search(r"([+-])(\d\d)(\d\d)\s*$", text)
    if match is None:
        return None
    shift = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return shift if match[1] == "+" else -shift


def _moment(header: Dataset, date: str, time: str) -> datetime | None:
    day, clock = (str(value_of(header, keyword) or "").strip() for keyword in (date, time))
    # Files older than DICOM 3 wrote 2020.03.01.
    return _datetime(day.replace(".", "") + clock) if day and clock else None


def _datetime(text: str) -> datetime | None:
    """Moment of a DICOM date with time, ``YYYYMMDDHHMMSS.FFFFFF``, whose end may be missing."""
    match = re.match(r"(\d{8})(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?", text.strip())
    if match is None:
        return None
    day, hour, minute, second, fraction = match.groups()
    try:
        moment = datetime.strptime(f"{day}{hour}{minute or '00'}{second or '00'}", "%Y%m%d%H%M%S")
        # Dates of the years 1 or 9999 would leave the calendar when days are added.
        return moment + timedelta(seconds=float(f"0.{fraction or 0}")) if 1900 < moment.year < 9000 else None
    except ValueError:
        return None
