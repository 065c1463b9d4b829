"""Write the table of cases of the shared test data.

    python benchmarks/accuracy/make_cases.py cases.csv                        # abdomen and sarcoma
    python benchmarks/accuracy/make_cases.py cases.csv --only sarcoma wide
    napari-cpclnet evaluate --cases cases.csv --out results --shots 5

Four organs in four CTs and four MRIs of different patients; one tumour in CT, MR and PET of the same eight patients,
who are never support and query of one another. Further sets: `abdomen13`, all 13 structures of the CTs, and `wide`,
hearts, spinal cords, hippocampi and vertebral bodies in MR. Scans come from the folder CPCLNET_TEST_DATA (default
../shared/data beside the repository); the table names them relative to itself.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

CT_CLASSES = "6=liver;2=right kidney;3=left kidney;1=spleen"
MR_CLASSES = "1=liver;2=right kidney;3=left kidney;4=spleen"
COLUMNS = ("patient", "modality", "image", "label", "classes")
CT_STRUCTURES = (
    "1=spleen;2=right kidney;3=left kidney;4=gallbladder;5=oesophagus;6=liver;7=stomach;8=aorta;9=inferior vena cava;"
    "10=portal and splenic vein;11=pancreas;12=right adrenal;13=left adrenal"
)
WIDE_CLASSES = {
    "acdc": "1=right ventricle;2=myocardium;3=left ventricle",
    "cord": "1=spinal cord",
    "hippocampus": "1=anterior hippocampus;2=posterior hippocampus",
    "vb2": "1=vertebral bodies",
}
SETS = ("abdomen", "sarcoma")
DEFAULT_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

Row = tuple[str, str, Path, Path, str]


def abdomen(data: Path) -> Iterator[Row]:
    """Liver, kidneys and spleen: CT from BTCV, MR from CHAOS."""
    for modality, numbers, classes in (
        ("CT", (10, 16, 20, 28), CT_CLASSES),
        ("MR", (1, 3, 8, 15), MR_CLASSES),
    ):
        kind = modality.lower()
        for number in numbers:
            scan = data / f"abdomen_{kind}" / f"{kind}_{number}"
            image, label = (scan.with_name(f"{scan.name}_{what}.nii.gz") for what in ("image", "label"))
            yield f"abdomen {kind} {number}", modality, image, label, classes


def sarcoma(data: Path) -> Iterator[Row]:
    """Soft-tissue sarcoma in three modalities of each patient."""
    for patient in sorted((data / "sarcoma_ct_mr_pet/nifti").iterdir()):
        for modality, name in (("CT", "CT"), ("MR", "MR_T1"), ("PT", "PET")):
            image, label = (patient / f"{name}_{what}.nii.gz" for what in ("image", "mask"))
            yield patient.name, modality, image, label, "1=tumour"


def abdomen13(data: Path) -> Iterator[Row]:
    """All structures that are labelled in the CTs."""
    for number in (10, 16, 20, 28):
        scan = data / "abdomen_ct" / f"ct_{number}"
        image, label = (scan.with_name(f"{scan.name}_{what}.nii.gz") for what in ("image", "label"))
        yield f"abdomen ct {number}", "CT", image, label, CT_STRUCTURES


def wide(data: Path) -> Iterator[Row]:
    """Structures that no phantom has by name; frames of one patient's heart are one patient."""
    for name, classes in WIDE_CLASSES.items():
        for image in sorted((data / "wide" / name).glob("*_image.nii.gz")):
            scan = image.name.removesuffix("_image.nii.gz")
            patient = scan.split("f")[0] if name == "acdc" else scan
            yield f"wide {patient}", "MR", image, image.with_name(f"{scan}_label.nii.gz"), classes


MAKERS = {"abdomen": abdomen, "abdomen13": abdomen13, "sarcoma": sarcoma, "wide": wide}


def write_table(path: Path, data: Path, sets: Sequence[str] = SETS) -> int:
    """Write the table; returns how many cases it holds."""
    rows = [row for name in sets for row in MAKERS[name](data)]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for patient, modality, image, label, classes in rows:
            files = [Path(os.path.relpath(f, path.parent)).as_posix() for f in (image, label)]
            writer.writerow([patient, modality, *files, classes])
    os.replace(temporary, path)
    return len(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="CSV file to write")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    parser.add_argument(
        "--only", choices=tuple(MAKERS), nargs="+", help="these sets instead of abdomen and sarcoma"
    )
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        print(f"There is no test data in {options.data}: set CPCLNET_TEST_DATA.", file=sys.stderr)
        return 2
    count = write_table(options.table, options.data, options.only or SETS)
    print(f"{count} cases in {options.table}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
