"""Tissue table: grey values of structures in CT, MR and PET that random appearance begins with.

CT in the portal venous phase, fat-suppressed T2 and PET are in `render.TISSUES`; here are CT before contrast, T1, and
what structures have in common.
"""

from __future__ import annotations

from napari_cpclnet.phantoms.structures import STRUCTURES

NATIVE_HU = {
    "liver": 58, "liver vessel": 42, "liver lesion": 45, "spleen": 48, "right kidney cortex": 32,
    "right kidney medulla": 30, "left kidney cortex": 32, "left kidney medulla": 30, "pancreas": 42,
    "stomach wall": 40, "duodenum": 38, "small bowel wall": 40, "colon wall": 38, "aorta": 42, "vena cava": 40,
    "portal vein": 40, "mesenteric vessel": 40, "heart wall": 42, "left ventricle blood": 42,
    "right adrenal": 30, "left adrenal": 30, "renal sinus": -40, "mass": 40, "right ventricle blood": 42,
    "left atrium blood": 42, "right atrium blood": 42, "thin heart wall": 42, "heart scar": 40, "pulmonary artery": 42,
    "lung vessel": -60, "consolidation": 30,
    "brain grey matter": 37, "brain white matter": 28, "cerebellum": 34, "brainstem": 30, "tongue": 55,
    "right parotid": -2, "left parotid": -2, "right submandibular": 38, "left submandibular": 38, "thyroid": 100,
    "neck artery": 42, "neck vein": 44,
    "thalamus": 35, "caudate": 38, "putamen": 38, "pallidum": 36, "hippocampus": 36, "amygdala": 36,
    "prostate transition zone": 42, "prostate peripheral zone": 38, "seminal vesicle": 26, "uterus": 46,
    "endometrium": 36,
}  # fmt: skip
"""HU before contrast; the tissue table of `render` gives the portal venous phase."""

T1 = {
    "skin": 0.4, "subcutaneous fat": 0.95, "visceral fat": 0.9, "wall muscle": 0.35, "psoas": 0.36, "back muscle": 0.38,
    "liver": 0.5, "liver vessel": 0.25, "liver lesion": 0.32, "gallbladder": 0.2, "spleen": 0.33,
    "right kidney cortex": 0.4, "right kidney medulla": 0.28, "left kidney cortex": 0.4, "left kidney medulla": 0.28,
    "renal sinus": 0.6, "kidney cyst": 0.12, "right adrenal": 0.38, "left adrenal": 0.38, "pancreas": 0.5,
    "stomach wall": 0.36, "stomach content": 0.25, "duodenum": 0.35, "small bowel wall": 0.36,
    "small bowel content": 0.25, "colon wall": 0.36, "colon content": 0.5, "aorta": 0.15, "vena cava": 0.18,
    "portal vein": 0.18, "mesenteric vessel": 0.18, "vertebra": 0.55, "spinal canal": 0.25, "rib": 0.45,
    "cartilage": 0.3, "heart wall": 0.38, "left ventricle blood": 0.18, "oesophagus": 0.36,
    "pelvic bone": 0.6, "pelvic organ": 0.35, "bladder": 0.12, "free fluid": 0.12, "lung": 0.04, "air": 0.0,
    "couch": 0.0, "stomach gas": 0.0, "bowel gas": 0.0, "mass": 0.33, "mass core": 0.22,
    "right ventricle blood": 0.18, "left atrium blood": 0.18, "right atrium blood": 0.18, "thin heart wall": 0.38,
    "heart scar": 0.34, "pulmonary artery": 0.15, "lung vessel": 0.18, "airway": 0.0, "consolidation": 0.33,
    "pleural effusion": 0.12, "breast gland": 0.38, "shoulder bone": 0.6,
    "brain grey matter": 0.45, "brain white matter": 0.62, "cerebellum": 0.5, "brainstem": 0.58, "ventricle": 0.1,
    "cerebrospinal fluid": 0.12, "spinal cord": 0.52, "eye": 0.12, "skull": 0.15, "teeth": 0.04, "sinus air": 0.0,
    "tongue": 0.45, "right parotid": 0.62, "left parotid": 0.62, "right submandibular": 0.45,
    "left submandibular": 0.45, "thyroid": 0.45, "neck artery": 0.1, "neck vein": 0.18,
    "thalamus": 0.53, "caudate": 0.46, "putamen": 0.48, "pallidum": 0.57, "hippocampus": 0.44, "amygdala": 0.45,
    "vertebral body": 0.55, "intervertebral disc": 0.32, "disc nucleus": 0.3, "cauda equina": 0.42,
    "prostate transition zone": 0.36, "prostate peripheral zone": 0.36, "seminal vesicle": 0.3, "uterus": 0.37,
    "endometrium": 0.33,
}  # fmt: skip

FAT_INDEX = [STRUCTURES["subcutaneous fat"], STRUCTURES["visceral fat"]]
ENHANCING = {
    "right kidney cortex": 0, "left kidney cortex": 0, "right kidney medulla": 1, "left kidney medulla": 1, "liver": 2,
    "spleen": 3, "aorta": 4, "left ventricle blood": 4, "vena cava": 5, "portal vein": 5, "liver vessel": 5,
    "mesenteric vessel": 5, "pancreas": 6, "heart wall": 6, "right adrenal": 6, "left adrenal": 6,
    "left atrium blood": 4, "right ventricle blood": 7, "right atrium blood": 7, "pulmonary artery": 7,
    "lung vessel": 7, "thin heart wall": 6, "heart scar": 6, "consolidation": 6, "breast gland": 6,
    "neck artery": 4, "neck vein": 5, "thyroid": 6, "right parotid": 6, "left parotid": 6, "right submandibular": 6,
    "left submandibular": 6, "prostate transition zone": 6, "prostate peripheral zone": 6, "uterus": 6,
}  # fmt: skip
STRANDED = {
    "liver": 0.4,
    "lung": 0.35,
    "visceral fat": 0.4,
    "spleen": 0.1,
    "back muscle": 0.25,
    "wall muscle": 0.15,
    "tongue": 0.2,
    "right parotid": 0.2,
    "left parotid": 0.2,
}
"""How often fine vessels or septa, too thin for the phantoms, show in a structure."""
CONTENTS = ("stomach content", "duodenum", "small bowel content", "colon content")
BLOOD = (
    "aorta", "vena cava", "portal vein", "liver vessel", "mesenteric vessel", "left ventricle blood",
    "pulmonary artery", "lung vessel",
)  # fmt: skip
TIED = (
    ("left kidney cortex", "right kidney cortex"),
    ("left kidney medulla", "right kidney medulla"),
    ("left adrenal", "right adrenal"),
    ("visceral fat", "subcutaneous fat"),
    ("psoas", "wall muscle"),
    ("back muscle", "wall muscle"),
    ("stomach gas", "air"),
    ("bowel gas", "air"),
    ("pelvic bone", "vertebra"),
    ("right ventricle blood", "left ventricle blood"),
    ("left atrium blood", "left ventricle blood"),
    ("right atrium blood", "right ventricle blood"),
    ("thin heart wall", "heart wall"),
    ("shoulder bone", "vertebra"),
    ("airway", "air"),
    ("left parotid", "right parotid"),
    ("left submandibular", "right submandibular"),
    ("sinus air", "air"),
    ("cerebrospinal fluid", "ventricle"),
    ("putamen", "caudate"),
    ("hippocampus", "brain grey matter"),
    ("amygdala", "hippocampus"),
    ("vertebral body", "vertebra"),
    ("cauda equina", "spinal cord"),
)
"""Pairs of one tissue: the first takes the second's value, give or take a little."""
