"""PET activity to standardised uptake values by body weight (SUVbw).

The QIBA vendor-neutral pseudo-code (Vendor-neutral pseudo-code for SUV calculation, 2012): SUVbw = activity [Bq/ml] x
weight [g] / decayed dose [Bq]. Where a tag is missing, or contradicts another, the values stay as they are and
the note names the tag; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from napari_cpclnet.imaging.dicom.suv_times import NoSuvError, private_text, seconds_since_injection, value_of

RAW_UNITS = {"BQML": "Bq/ml", "CNTS": "counts", "GML": "g/ml"}
SUV_TYPES = {"LBM": "lean body mass", "BSA": "body surface", "IBW": "ideal body weight"}
PHILIPS = "Philips PET Private Group"
# Smaller doses and heavier patients are numbers in another unit (MBq, grams), or damage.
SMALLEST_DOSE_BQ, HEAVIEST_KG = 1e5, 700.0


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
    units = str(value_of(first, "Units") or "").strip().upper()
    raw = RAW_UNITS.get(units, units)
    try:
        _check_same(headers)
        if units == "GML":
            return _of_suv(first)
        if units not in ("BQML", "CNTS"):
            raise NoSuvError(f"Units is {units or 'missing'}, neither BQML nor CNTS nor GML")
        _check_corrections(first)
        return _factor(headers, units), "SUVbw", ()
    except NoSuvError as error:
        kept = f"stay in {raw}" if raw else "have no known unit"
        return 1.0, raw, (f"{error}: the values {kept} and are not converted to SUV.",)


def _of_suv(header: Dataset) -> tuple[float, str, tuple[str, ...]]:
    """SUV already; by body weight unless the tag says otherwise (PS3.3 C.8.9.1)."""
    kind = str(value_of(header, "SUVType") or "BW").strip().upper()
    if kind == "BW":
        return 1.0, "SUVbw", ()
    by = SUV_TYPES.get(kind, kind)
    return 1.0, RAW_UNITS["GML"], (f"SUVType is {kind}: the values are SUV by {by}, not by body weight.",)


def _check_same(headers: Sequence[Dataset]) -> None:
    """One factor must serve all slices; what changes from slice to slice is in their rescale slopes."""
    for keyword in ("Units", "DecayCorrection", "PatientWeight", "SeriesDate", "SeriesTime"):
        found = {str(value_of(header, keyword) or "") for header in headers}
        if len(found) > 1:
            raise NoSuvError(f"{keyword} differs between the slices")


def _check_corrections(header: Dataset) -> None:
    corrected = value_of(header, "CorrectedImage") or ()
    listed = {
        str(word).strip().upper() for word in ([corrected] if isinstance(corrected, str) else corrected)
    }
    lacking = [word for word in ("ATTN", "DECY") if word not in listed]
    if lacking:
        raise NoSuvError(f"CorrectedImage does not list {' and '.join(lacking)}")


def _factor(headers: Sequence[Dataset], units: str) -> float:
    if units == "BQML":
        return _of_activity(headers)
    # Philips keeps counts, and beside them what makes SUV, or else Bq/ml, of them.
    to_suv = _philips(headers, 0x00, "(7053,1000) SUV scale factor")
    if to_suv is not None:
        return to_suv
    to_activity = _philips(headers, 0x09, "(7053,1009) activity concentration scale factor")
    if to_activity is None:
        raise NoSuvError("Units is CNTS, and the Philips factors (7053,1000) and (7053,1009) are missing")
    return to_activity * _of_activity(headers)


def _philips(headers: Sequence[Dataset], offset: int, name: str) -> float | None:
    found = {_private_number(header, offset) for header in headers}
    if len(found) > 1:
        raise NoSuvError(f"{name} differs between the slices")
    return found.pop()


def _private_number(header: Dataset, offset: int) -> float | None:
    try:
        factor = float(private_text(header, 0x7053, PHILIPS, offset))
    except ValueError:
        return None
    return factor if np.isfinite(factor) and factor > 0 else None


def _of_activity(headers: Sequence[Dataset]) -> float:
    first = headers[0]
    weight = _positive(first, "PatientWeight")
    if weight > HEAVIEST_KG:
        raise NoSuvError(f"PatientWeight is {weight:g} kg, which cannot be (is it in grams?)")
    sequence = value_of(first, "RadiopharmaceuticalInformationSequence")
    if not sequence:
        raise NoSuvError("RadiopharmaceuticalInformationSequence is missing")
    tracer = sequence[0]
    dose = _positive(tracer, "RadionuclideTotalDose")
    if dose < SMALLEST_DOSE_BQ:
        raise NoSuvError(f"RadionuclideTotalDose is {dose:g} Bq, which cannot be (is it in MBq?)")
    decay = str(value_of(first, "DecayCorrection") or "").strip().upper()
    if decay == "ADMIN":
        return weight * 1000.0 / dose
    if decay != "START":
        raise NoSuvError(f"DecayCorrection is {decay or 'missing'}")
    half_life = _positive(tracer, "RadionuclideHalfLife")
    elapsed = seconds_since_injection(headers, tracer, half_life)
    return float(weight * 1000.0 / (dose * 2.0 ** (-elapsed / half_life)))


def _positive(header: Dataset, keyword: str) -> float:
    """Value of a tag as a positive number; NoSuvError that names the tag and says why not."""
    value = value_of(header, keyword)
    if value is None or str(value).strip() == "":
        raise NoSuvError(f"{keyword} is missing")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise NoSuvError(f"{keyword} is no number") from None
    if not np.isfinite(number) or number <= 0:
        raise NoSuvError(f"{keyword} is {number:g}")
    return number
