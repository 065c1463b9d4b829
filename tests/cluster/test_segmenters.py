"""A segmenter that travelled as bytes finds what it found before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cpclnet.cluster import ScanRequest, Wanted, label_scan
from napari_cpclnet.cluster.scans import answer_request, pack_request, unpack_answer
from napari_cpclnet.cluster.segmenters import pack_segmenter, unpack_segmenter
from napari_cpclnet.files.arrays import pack_arrays, unpack_arrays
from napari_cpclnet.imaging import Geometry, ScanRef, Volume, write_volume
from napari_cpclnet.model import CPCLNet, CPCLNetSettings
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.segmentation import Corrections, SegmentationSettings, Segmenter, SupportSet


def scan(seed: int, kind: str = "i2") -> Volume:
    rng = np.random.default_rng(seed)
    array = rng.normal(-1000, 10, (5, 40, 44))
    array[:, 6:-6, 6:-6] = rng.normal(40, 30, (5, 28, 32))
    geometry = Geometry(array.shape, (5.0, 2.0, 2.0), (1.0, 2.0, 3.0))
    return Volume(array.astype(kind), geometry, "CT", "HU", name="ct", notes=("secret/path",))


def network() -> CPCLNet:
    torch.manual_seed(0)
    model = CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1)).eval()
    model.metadata = {"preprocessing": PreprocessingSettings().model_dump(mode="json"), "hash": "abc"}
    return model


def support(first: Volume, second: Volume) -> SupportSet:
    painted = np.zeros(first.array.shape, np.uint16)
    painted[2, 12:24, 10:22], painted[3, 12:20, 28:36] = 6, 300
    made = SupportSet({6: "liver", 300: "spleen"})
    made.add(first, painted, slices=[2, 3], plane="axial")
    made.add(second, painted, slices=[3], plane="axial", absent=[0])
    scribble = (painted[3] > 0).astype(np.uint32) * 6
    made.add_slice(second, 1, scribble, plane="axial", known=scribble > 0)
    return made


@pytest.mark.parametrize("kind", ["i2", ">i2", "f4"])
def test_the_same_is_found_after_the_journey(kind: str) -> None:
    model, settings = network(), SegmentationSettings(align=False, device="cpu", threshold=0.5)
    painted = support(scan(1, kind), scan(2, kind))
    here = Segmenter(model, settings)
    here.set_support(painted)
    data = pack_segmenter(model, settings, painted)
    there = unpack_segmenter(data)
    assert there.settings == settings and there.model.metadata == model.metadata
    assert there.support is not None and there.support.content_hash() == painted.content_hash()
    found = []
    for one in (here, there):
        for _ in one.predict(scan(3), keep_probabilities=True):
            pass
        found.append((one.result().labels, one.result_probabilities()))
    assert np.ptp(found[0][1]) > 0
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    assert b"secret" not in data


@pytest.mark.parametrize("in_file", [True, False])
def test_what_is_found_of_a_scan_comes_back_whole(tmp_path: Path, in_file: bool) -> None:
    segmenter = Segmenter(network(), SegmentationSettings(align=False, device="cpu", threshold=0.5))
    segmenter.set_support(support(scan(1), scan(2)))
    wanted = Wanted(probabilities=True, likeliest=True, uncertainty=True, statistics=True)
    query = scan(3)
    fixed = np.zeros(query.array.shape, bool)
    fixed[1, 10:14, 10:14] = True
    locked = Corrections(fixed, fixed.astype(np.uint16) * 300)
    place: Volume | ScanRef = query
    if in_file:
        place = ScanRef(write_volume(query, tmp_path / "ct.nii.gz"), None, "ct")
    request = ScanRequest("query", wanted, place, ("CT", "HU") if in_file else None, locked)
    there = unpack_answer(answer_request(segmenter, pack_request(request)))
    here = label_scan(segmenter, query, "query", wanted, 0.0, locked=locked)
    assert np.array_equal(there.segmentation.labels, here.segmentation.labels)
    assert (there.segmentation.labels[fixed] == 300).all()
    assert there.segmentation.geometry.isclose(query.geometry)
    assert there.segmentation.classes == here.segmentation.classes
    assert there.summary == here.summary and there.axis == here.axis == 0
    assert there.voxel_ml == pytest.approx(query.geometry.voxel_ml)
    assert there.maps.keys() == {"probabilities", "likeliest", "uncertainty"}
    assert all(np.array_equal(one, here.maps[name]) for name, one in there.maps.items())
    measured = [[(one.scan, one.value, one.voxels) for one in found.statistics] for found in (here, there)]
    assert measured[0] == measured[1] and len(measured[0]) == 2


def test_of_several_gpus_each_worker_takes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []

    class Watched(Segmenter):
        def __init__(self, model: CPCLNet, settings: SegmentationSettings) -> None:
            chosen.append(settings.device)
            super().__init__(model, settings.model_copy(update={"device": "cpu"}))

    painted = support(scan(1), scan(2))
    data = {
        name: pack_segmenter(network(), SegmentationSettings(device=name), painted)
        for name in ("auto", "cpu")
    }
    monkeypatch.setattr("napari_cpclnet.cluster.segmenters.Segmenter", Watched)
    for count, name, number in ((2, "auto", 3), (2, "cpu", 1), (1, "auto", 1), (0, "auto", 1)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        unpack_segmenter(data[name], number)
    assert chosen == ["cuda:1", "cpu", "auto", "auto"]


def test_arrays_and_facts_come_as_they_went() -> None:
    arrays = {
        "truth": np.eye(3, dtype=bool)[::2],
        "number": np.float64(3.5)[...],
        "foreign": np.arange(6, dtype=">u4").reshape(2, 3).T,
    }
    there, facts = unpack_arrays(pack_arrays(arrays, {"a": [1, None, "ü"]}))
    assert facts == {"a": [1, None, "ü"]}
    assert all(np.array_equal(there[name], value) for name, value in arrays.items())
    assert there["number"].shape == ()


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\xff" * 64, pack_arrays({"a": np.zeros(9)}, {})[:-8]])
def test_damage_is_noticed(data: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        unpack_arrays(data)
