"""Episodes from unlabelled scans: regions lie where they are seen, and both sides show the same ones."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from napari_cpclnet.episodes import scan_episodes as scans_module
from napari_cpclnet.episodes.prepared_scans import ScanFile, open_scan, prepare_scans, scan_tensors
from napari_cpclnet.episodes.scan_episodes import ScanEpisodes
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.episodes.style import Style, random_style, restyle
from napari_cpclnet.errors import SettingsError
from napari_cpclnet.imaging import Geometry, ScanRef, Segmentation, Volume, write_segmentation, write_volume
from napari_cpclnet.preprocessing import PreprocessingSettings

SETTINGS = PreprocessingSettings(mm_per_pixel=4.0, min_size=64)
PLAIN = Style(np.linspace(0, 1, 8, dtype=np.float32), mixing=0.0, gamma=1.0, bias=0.0, blur=0.0, noise=0.0)
GREYS = {1: 60, 2: 120, 3: 200}


def made(folder: Path, flipped: bool = False, depth: int = 30) -> tuple[Volume, ScanRef]:
    """A body of grey 30 with three blocks, whose regions lie on disk; the third ends halfway up."""
    labels = np.zeros((depth, 60, 70), np.uint16)
    labels[:, 15:27, 12:30] = 1
    labels[:, 32:45, 40:56] = 2
    labels[: depth // 2, 33:46, 14:27] = 3
    array = np.zeros(labels.shape, np.uint8)
    array[:, 8:52, 6:64] = 30
    for region, grey in GREYS.items():
        array[labels == region] = grey
    direction = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    kind = {"direction": direction, "origin": (90.0, 236.0, 0.0)} if flipped else {}
    geometry = Geometry(labels.shape, (3.0, 4.0, 4.0), **kind)  # type: ignore[arg-type]
    if flipped:
        labels, array = labels[::-1, ::-1].copy(), array[::-1, ::-1].copy()
    volume = Volume(array, geometry, "CT", "HU8", name="ct_1")
    folder.mkdir(exist_ok=True)
    path = folder / "ct_1.nii.gz"
    write_volume(volume, path)
    write_segmentation(Segmentation(labels, {}, geometry), folder / "ct_1_regions-slic-1_label.nii.gz")
    return volume, ScanRef(path, None, "ct_1")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> ScanFile:
    folder = tmp_path_factory.mktemp("scan")
    _, ref = made(folder / "data")
    ((found, path, problem),) = prepare_scans([ref], folder / "out", SETTINGS, workers=1)
    assert found == ref and problem == "" and path is not None
    return open_scan(path)


def episodes(scan: ScanFile, **changes: object) -> ScanEpisodes:
    settings = EpisodeSettings.model_validate({"size": 64, "anywhere": 0.0, **changes})
    return ScanEpisodes([scan], settings, torch.device("cpu"))


def draw(source: ScanEpisodes, seed: int) -> dict[str, torch.Tensor]:
    return vars(source.batch(np.random.default_rng(seed), torch.Generator().manual_seed(seed)))


def test_a_scan_stored_upside_down_is_prepared_the_same(tmp_path: Path) -> None:
    one, other = (scan_tensors(*made(tmp_path / str(f), f), SETTINGS) for f in (False, True))
    assert one[1] == other[1] == 3.0
    np.testing.assert_allclose(one[0]["images"].astype(int), other[0]["images"].astype(int), atol=1)
    np.testing.assert_array_equal(one[0]["regions"], other[0]["regions"])
    np.testing.assert_array_equal(one[0]["shown"], other[0]["shown"])


def test_prepared_regions_lie_where_they_are_seen(tmp_path: Path) -> None:
    tensors, _ = scan_tensors(*made(tmp_path), SETTINGS)
    images, (regions,) = tensors["images"], tensors["regions"]
    assert images.shape == regions.shape == (30, 64, 64)
    for region, grey in GREYS.items():
        inside = images[regions == region].astype(int)
        assert np.median(inside) == grey
        assert (np.abs(inside - grey) < 3).mean() > 0.7  # all but the rim, which is interpolated
    assert tensors["shown"].all()


def test_regions_are_made_where_none_lie_beside_the_scan(tmp_path: Path) -> None:
    volume, ref = made(tmp_path, depth=3)
    (tmp_path / "ct_1_regions-slic-1_label.nii.gz").unlink()
    tensors, _ = scan_tensors(volume, ref, SETTINGS)
    assert len(tensors["regions"]) > 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct_1.nii.gz"]  # the user's folder is left alone
    assert tensors["shown"].any()


def test_both_sides_show_the_same_regions(scan: ScanFile) -> None:
    with (
        patch.object(scans_module, "random_style", lambda rng: PLAIN),
        patch.object(scans_module, "similar_style", lambda k, rng: k),
    ):
        batches = [draw(episodes(scan), seed) for seed in range(6)]
    shots = set()
    for batch in batches:
        k = batch["support"].shape[1]
        shots.add(k)
        assert batch["support"].shape == (2, k, 3, 64, 64) and batch["query"].shape == (2, 4, 3, 64, 64)
        assert batch["support_masks"].shape == (2, 3, k, 64, 64)
        assert batch["query_masks"].shape == (2, 4, 3, 64, 64)
        assert batch["support_labels"] is None and batch["query_levels"] is None
        for e in range(2):
            for c in range(3):
                seen = []
                for images, masks in (
                    (batch["support"][e, :, 1], batch["support_masks"][e, c]),
                    (batch["query"][e, :, 1], batch["query_masks"][e, :, c]),
                ):
                    if masks.any():
                        seen.append(round(float(images[masks > 0].median()) * 255))
                assert len(set(seen)) == 1
                assert seen[0] in GREYS.values()
    assert len(shots) > 1


def test_a_far_slice_is_empty_only_of_what_cannot_be_there(scan: ScanFile) -> None:
    """The third block ends halfway; only its classes may be declared absent in the other half."""
    absent = 0
    with patch.object(scans_module, "random_style", lambda rng: PLAIN):
        for seed in range(30):
            batch = draw(episodes(scan, anywhere=1.0, classes=1, shots=(1,), shot_weights=(1.0,)), seed)
            for e in range(2):
                grey = float(batch["support"][e, :, 1][batch["support_masks"][e, 0] > 0].median()) * 255
                empty = ~batch["query_masks"][e].flatten(1).any(1)
                absent += int(empty.sum())
                assert not empty.any() or round(grey) == GREYS[3]
    assert absent > 5


def test_the_same_seeds_give_the_same_batch(scan: ScanFile) -> None:
    one, again, other = (draw(episodes(scan), seed) for seed in (3, 3, 4))
    assert all(torch.equal(one[k], again[k]) for k in ("support", "support_masks", "query", "query_masks"))
    assert not torch.equal(one["query"], other["query"])


def test_a_part_of_a_scan_shows_only_its_slices(scan: ScanFile) -> None:
    settings = EpisodeSettings(size=64, anywhere=0.0)
    upper = ScanEpisodes([scan], settings, torch.device("cpu"), (0.6, 1.0))
    with patch.object(scans_module, "random_style", lambda rng: PLAIN):
        for seed in range(8):
            batch = draw(upper, seed)
            for e in range(2):
                for c in range(3):
                    shown = batch["support"][e, :, 1][batch["support_masks"][e, c] > 0]
                    assert round(float(shown.median()) * 255) != GREYS[3]  # it ends below


def test_files_are_made_anew_when_the_scan_changes_and_kept_when_not(tmp_path: Path) -> None:
    _, ref = made(tmp_path / "data", depth=3)
    (first,) = prepare_scans([ref], tmp_path / "out", SETTINGS, workers=1)
    assert first[1] is not None
    stamp = first[1].stat().st_mtime_ns
    (again,) = prepare_scans([ref], tmp_path / "out", SETTINGS, workers=1)
    assert again == first and first[1].stat().st_mtime_ns == stamp
    made(tmp_path / "data", depth=4)
    (anew,) = prepare_scans([ref], tmp_path / "out", SETTINGS, workers=1)
    assert anew[1] != first[1]


def test_a_bad_scan_does_not_stop_the_others(tmp_path: Path) -> None:
    _, ref = made(tmp_path / "data", depth=3)
    bad = tmp_path / "data" / "bad.nii.gz"
    bad.write_bytes(b"no scan")
    one, other = prepare_scans([ScanRef(bad), ref], tmp_path / "out", SETTINGS, workers=1)
    assert one[1] is None and "bad.nii.gz" in one[2]
    assert other[1] is not None
    other[1].write_bytes(b"damaged")
    with pytest.raises(SettingsError, match="damaged"):
        open_scan(other[1])


def test_a_plain_style_changes_nothing_and_others_keep_the_range_and_the_air() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 3, 32, 32, generator=generator)
    images[..., :8] = 0
    torch.testing.assert_close(restyle(images, [PLAIN, PLAIN], generator), images, atol=1e-5, rtol=0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        shown = restyle(images, [random_style(rng), random_style(rng)], generator)
        assert shown.shape == images.shape and shown.min() >= 0 and shown.max() <= 1
        assert shown[..., :4].max() < 1e-3  # four pixels from the edge no blur reaches
        assert not torch.allclose(shown, images, atol=0.02)
