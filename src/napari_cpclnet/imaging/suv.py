"""PET activity to standardised uptake values by body weight (SUVbw).

The QIBA vendor-neutral pseudo-code: SUVbw = activity [Bq/ml] x weight [g] / decayed dose [Bq]. Where a tag is
missing or contradicts another, the activity stays as it is and the note names the tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from napari_cpclnet.imaging.dicom_headers import number

RAW_UNITS = {"BQML": "Bq/ml", "CNTS": "counts", "GML": "g/ml"}


def suv_factor(headers: Sequence[Dataset]) -> tuple[float, str, tuple[str, ...]]:
    """Factor from the rescaled values of a PET series to SUVbw.

    Parameters
    ----------
    headers
        Headers of all slices of the series.

    Returns
    -------
    tuple
        Factor, unit of the product (``"SUVbw"``, or the raw unit with factor 1), and notes.
    """
    first = headers[0]
    units = str(first.get("Units") or "").upper()
    raw = RAW_UNITS.get(units, "")
    if units == "GML":
        kind = str(first.get("SUVType") or "BW").upper()
        if kind == "BW":
            return 1.0, "SUVbw", ()
        return 1.0, raw, (f"The values are SUV of type {kind}, not by body weight.",)
    if units != "BQML":
        name = units or "missing"
        return 1.0, raw, (f"Units is {name}, not BQML: the values are not converted to SUV.",)
    try:
        factor = _factor_from_activity(headers)
    except _NoSuvError as error:
        return 1.0, raw, (f"{error}: the values stay in Bq/ml.",)
    return factor, "SUVbw", ()


class _NoSuvError(Exception):
    pass


def _factor_from_activity(headers: Sequence[Dataset]) -> float:
    first = headers[0]
    corrected = first.get("CorrectedImage") or ()
    corrected = [corrected] if isinstance(corrected, str) else list(corrected)
    if "DECY" not in corrected or "ATTN" not in corrected:
        raise _NoSuvError("CorrectedImage does not list DECY and ATTN")
    weight = number(first, "PatientWeight")
    if weight is None:
        raise _NoSuvError("PatientWeight is missing")
    sequence = first.get("RadiopharmaceuticalInformationSequence")
    if not sequence:
        raise _NoSuvError("RadiopharmaceuticalInformationSequence is missing")
    tracer = sequence[0]
    dose = number(tracer, "RadionuclideTotalDose")
    if dose is None:
        raise _NoSuvError("RadionuclideTotalDose is missing")
    decay = str(first.get("DecayCorrection") or "").upper()
    if decay == "ADMIN":
        return weight * 1000.0 / dose
    if decay != "START":
        raise _NoSuvError(f"DecayCorrection is {decay or 'missing'}")
    half_life = number(tracer, "RadionuclideHalfLife")
    if half_life is None:
        raise _NoSuvError("RadionuclideHalfLife is missing")
    elapsed = _seconds_since_injection(headers, tracer)
    return float(weight * 1000.0 / (dose * 2.0 ** (-elapsed / half_life)))


def _seconds_since_injection(headers: Sequence[Dataset], tracer: Dataset) -> float:
    scan = _moment(headers[0], "SeriesDate", "SeriesTime")
    if scan is None:
        raise _NoSuvError("SeriesDate or SeriesTime is missing")
    acquired = [
        moment for h in headers if (moment := _moment(h, "AcquisitionDate", "AcquisitionTime")) is not None
    ]
    if not acquired:
        raise _NoSuvError("AcquisitionDate or AcquisitionTime is missing")
    # A series made later by post-processing carries its own time, to which nothing was decay corrected.
    if scan > min(acquired) + timedelta(seconds=1):
        raise _NoSuvError("SeriesTime lies after AcquisitionTime")
    injected = _datetime(str(tracer.get("RadiopharmaceuticalStartDateTime") or ""))
    if injected is None:
        clock = str(tracer.get("RadiopharmaceuticalStartTime") or "")
        injected = _datetime(scan.strftime("%Y%m%d") + clock) if clock else None
        if injected is None:
            raise _NoSuvError("RadiopharmaceuticalStartTime is missing")
        # Only a clock time is known: injected before midnight, scanned after it.
        if injected > scan:
            injected -= timedelta(days=1)
    elapsed = (scan - injected).total_seconds()
    if not 0 <= elapsed <= 86400:
        raise _NoSuvError("RadiopharmaceuticalStartDateTime does not lie in the day before the scan")
    return elapsed


def _moment(header: Dataset, date: str, time: str) -> datetime | None:
    day, clock = str(header.get(date) or ""), str(header.get(time) or "")
    return _datetime(day + clock) if day and clock else None


def _datetime(value: str) -> datetime | None:
    whole, _, fraction = value.partition(".")
    digits = whole.replace(":", "")[:14].ljust(14, "0")
    try:
        moment = datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    decimals = "".join(c for c in fraction[:6] if c.isdigit())
    return moment + timedelta(seconds=float(f"0.{decimals or 0}"))
