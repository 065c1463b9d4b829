"""Episodes: reproducible, complete, and on the right side of the body."""

from __future__ import annotations

from dataclasses import asdict
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cpclnet.episodes import appearance
from napari_cpclnet.episodes import phantom_episodes as sampling
from napari_cpclnet.episodes.appearance import PET, ScannerAppearance
from napari_cpclnet.episodes.classes import FREQUENCY, NAMES, membership
from napari_cpclnet.episodes.mask_corruption import corrupt_masks
from napari_cpclnet.episodes.masses import Mass, Masses
from napari_cpclnet.episodes.phantom_dataset import PhantomDataset
from napari_cpclnet.episodes.phantom_episodes import EpisodeBatch, PhantomEpisodes, Side
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.phantoms.structures import STRUCTURES


def episodes(stack: PhantomDataset, **changes: object) -> PhantomEpisodes:
    settings = EpisodeSettings.model_validate({"size": 64, **changes})
    return PhantomEpisodes(stack.labels, stack.levels, stack.parts, stack.spacing, settings)


def draw(source: PhantomEpisodes, seed: int) -> EpisodeBatch:
    return source.batch(np.random.default_rng(seed), torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def source(phantom_stack: PhantomDataset) -> PhantomEpisodes:
    return episodes(phantom_stack)


@pytest.fixture(scope="module")
def batches(source: PhantomEpisodes) -> list[EpisodeBatch]:
    return [draw(source, seed) for seed in range(12)]


def test_the_same_seeds_give_the_same_batch(source: PhantomEpisodes, batches: list[EpisodeBatch]) -> None:
    again, other = draw(source, 3), batches[4]
    assert all(
        torch.equal(x, y) for x, y in zip(asdict(again).values(), asdict(batches[3]).values(), strict=True)
    )
    assert not torch.equal(again.query, other.query)


def test_shapes_and_ranges(batches: list[EpisodeBatch]) -> None:
    for batch in batches:
        k = batch.support.shape[1]
        assert k in (1, 2, 3, 5)
        assert batch.support.shape == (2, k, 3, 64, 64) and batch.query.shape == (2, 4, 3, 64, 64)
        assert batch.support_masks.shape == (2, 3, k, 64, 64) and batch.query_masks.shape == (2, 4, 3, 64, 64)
        assert batch.support_labels.shape == (2, k, 64, 64) and batch.query_labels.shape == (2, 4, 64, 64)
        assert batch.support_levels.shape == (2, k) and batch.query_levels.shape == (2, 4)
        for x in (batch.support, batch.query):
            assert x.isfinite().all() and x.min() >= 0 and x.max() <= 1
        for x in (batch.support_masks, batch.query_masks):
            assert ((x == 0) | (x == 1)).all()
        assert batch.query_labels.min() >= 0 and batch.query_labels.max() < len(STRUCTURES)


def test_every_number_of_shots_is_drawn(batches: list[EpisodeBatch]) -> None:
    assert {b.support.shape[1] for b in batches} == {1, 2, 3, 5}


@pytest.mark.parametrize("shots", [1, 4])
def test_settings_choose_shots_classes_and_queries(phantom_stack: PhantomDataset, shots: int) -> None:
    source = episodes(phantom_stack, shots=(shots,), shot_weights=(1.0,), classes=2, queries=3, episodes=1)
    batch = draw(source, 0)
    assert batch.support_masks.shape == (1, 2, shots, 64, 64) and batch.query_masks.shape == (1, 3, 2, 64, 64)


def class_of(masks: Tensor, labels: Tensor) -> set[str]:
    """Names of the classes whose structures are exactly those under the mask, and none outside of it."""
    table = membership()
    inside, outside = set(labels[masks > 0].tolist()), set(labels[masks == 0].tolist())
    return {
        NAMES[row]
        for row in range(len(NAMES))
        if inside <= set(np.flatnonzero(table[row])) and not outside & set(np.flatnonzero(table[row]))
    }


def test_masks_match_the_labels_of_one_class_on_both_sides(phantom_stack: PhantomDataset) -> None:
    source = episodes(phantom_stack, own_scan=0.0)
    for batch in (draw(source, seed) for seed in range(12)):
        for e in range(2):
            for c in range(3):
                support = class_of(batch.support_masks[e, c], batch.support_labels[e])
                query = class_of(batch.query_masks[e, :, c], batch.query_labels[e])
                assert support & query


def tissue_values(images: Tensor, labels: Tensor) -> Tensor:
    """Mean intensity of every structure, nan where there is none."""
    return torch.stack([images[:, 1][labels == value].mean() for value in range(len(STRUCTURES))])


def test_both_sides_of_one_scan_look_alike(phantom_stack: PhantomDataset) -> None:
    def differences(own_scan: float) -> float:
        source = episodes(phantom_stack, same_patient=1.0, own_scan=own_scan, same_scanner=0.0, masses=0.0)
        found = []
        for batch in (draw(source, seed) for seed in range(6)):
            for e in range(2):
                one = tissue_values(batch.support[e], batch.support_labels[e])
                other = tissue_values(batch.query[e], batch.query_labels[e])
                found.append(float((one - other).abs().nanmedian()))
        return float(np.median(found))

    assert differences(1.0) < 0.5 * differences(0.0)


def test_episodes_of_one_scan_say_so(phantom_stack: PhantomDataset) -> None:
    for share in (0.0, 1.0):
        source = episodes(phantom_stack, same_patient=1.0, own_scan=share, masses=0.0)
        marks = [draw(source, seed).same_scan for seed in range(3)]
        assert all(mark is not None and mark.tolist() == [bool(share)] * 2 for mark in marks)
    apart = draw(episodes(phantom_stack, same_patient=0.0, own_scan=1.0), 0).same_scan
    assert apart is not None and not apart.all()


def test_masks_of_ones_own_scan_are_rough(phantom_stack: PhantomDataset) -> None:
    source = episodes(phantom_stack, same_patient=1.0, own_scan=1.0, masses=0.0)
    exact = episodes(phantom_stack, same_patient=1.0, own_scan=0.0, masses=0.0)

    def matches(batch: EpisodeBatch) -> int:
        table = membership()
        hits = 0
        for e in range(2):
            for mask in batch.support_masks[e]:
                true = [
                    torch.isin(batch.support_labels[e], torch.from_numpy(np.flatnonzero(row)))
                    for row in table
                ]
                hits += any(torch.equal(mask, t.float()) for t in true)
        return hits

    assert sum(matches(draw(exact, seed)) for seed in range(4)) == 24
    assert sum(matches(draw(source, seed)) for seed in range(4)) < 12


def test_rough_masks_stay_near_the_true_ones() -> None:
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disc = ((y - 30) ** 2 + (x - 25) ** 2 < 12**2).float()
    dot = ((y == 50) & (x == 50)).float()
    masks = torch.stack([disc, dot, torch.zeros(64, 64)])[None]

    def rough(strength: float, seed: int = 0) -> Tensor:
        return corrupt_masks(masks, None, strength, torch.Generator().manual_seed(seed))

    strong, other = rough(0.3), rough(0.3, 1)
    for found in (rough(0.0), strong, other):
        assert ((found == 0) | (found == 1)).all()
        overlap = 2 * (found[0, 0] * disc).sum() / (found[0, 0] + disc).sum()
        assert overlap > 0.8 and found[0, 1].any() and not found[0, 2].any()
    assert not torch.equal(strong, other) and torch.equal(strong, rough(0.3))
    assert not torch.equal(strong[0, 0], disc)


def test_rough_masks_take_a_neighbour_along_on_most_slices() -> None:
    """The one beside the class, never the air around both nor what lies far away."""
    air, organ, neighbour, far = (STRUCTURES[n] for n in ("air", "liver", "gallbladder", "spleen"))
    labels = torch.full((4, 64, 64), air)
    labels[:, 10:40, 10:30], labels[:, 10:40, 30:36], labels[:, 10:40, 54:60] = organ, neighbour, far
    masks = (labels == organ).float()[None].repeat(40, 1, 1, 1)
    found = corrupt_masks(masks, labels, 0.0, torch.Generator().manual_seed(2)) > 0
    beside = (found & (labels == neighbour)).flatten(2).sum(2) > 100  # (classes, slices)
    assert 0.2 < beside.any(1).float().mean() < 0.7
    assert beside[beside.any(1)].float().mean() > 0.5
    assert not (found & (labels == far)).any()
    without = corrupt_masks(masks, None, 0.0, torch.Generator().manual_seed(2)) > 0
    assert not ((without & (labels == neighbour)).flatten(2).sum(2) > 150).any()


def test_the_first_class_is_visible_in_the_support(batches: list[EpisodeBatch]) -> None:
    """The crop may cut it off once in a while."""
    seen = [bool(b.support_masks[e, 0].any()) for b in batches for e in range(2)]
    assert np.mean(seen) > 0.85


def test_some_queries_lack_the_class_and_most_show_it(batches: list[EpisodeBatch]) -> None:
    shown = torch.cat([b.query_masks.flatten(3).amax(3).flatten() for b in batches]).mean()
    assert 0.3 < shown < 0.9


def test_the_picture_shows_the_labels(source: PhantomEpisodes) -> None:
    """With a scanner whose value is the label itself, the middle channel is the label image."""
    count = len(STRUCTURES)
    plain = ScannerAppearance(
        values=np.arange(count, dtype=np.float32) / count,
        textures=np.zeros(count, np.float32),
        strands=np.zeros(count, np.float32),
        strand_width=0.14,
        blur=0.0,
        noise=0.0,
        bias=0.0,
        gain=0.0,
        gamma=1.0,
        mixing=0.0,
        view=(0.7, 2.0),
    )
    with (
        patch.object(sampling, "sample_appearance", lambda rng, kind=None: plain),
        patch.object(sampling, "same_scanner", lambda k, rng: k),
    ):
        batch = draw(source, 5)
    for images, labels in ((batch.support, batch.support_labels), (batch.query, batch.query_labels)):
        assert torch.equal((images[:, :, 1] * count).round().long(), labels)
        assert not labels[:, :, :9].any() and not labels[:, :, -9:].any()  # outside the field of view
        assert labels.any()


def test_neighbour_channels_show_other_slices_of_the_same_place(source: PhantomEpisodes) -> None:
    sides = [Side(0, np.array([20, 25])), Side(1, np.array([20, 51]))]
    planes = source._planes(sides, np.random.default_rng(1))
    assert torch.equal(planes[0, 1, 1], source.labels[0, 25]) and torch.equal(
        planes[1, 1, 1], source.labels[1, 51]
    )
    step = next(s for s in (0, 1, 2) if torch.equal(planes[0, 1, 2], source.labels[0, 25 + s]))
    assert torch.equal(planes[0, 1, 0], source.labels[0, 25 - step])
    assert torch.equal(planes[1, 1, 2], source.labels[1, 51])  # clamped at the top


def test_support_and_query_look_different_unless_they_are_of_one_scan(batches: list[EpisodeBatch]) -> None:
    """The mean intensity of structures that both sides show is another one."""
    gaps = []
    for batch in batches:
        assert batch.same_scan is not None
        for e in np.flatnonzero(~batch.same_scan.numpy()):
            for label in set(batch.support_labels[e].unique().tolist()) & set(
                batch.query_labels[e].unique().tolist()
            ):
                one = batch.support[e, :, 1][batch.support_labels[e] == label].mean()
                two = batch.query[e, :, 1][batch.query_labels[e] == label].mean()
                gaps.append(float((one - two).abs()))
    assert np.mean(np.array(gaps) > 0.05) > 0.5


def test_nothing_is_mirrored(source: PhantomEpisodes, batches: list[EpisodeBatch]) -> None:
    """Right kidney and liver lie on the side of small x, as in the phantoms."""
    columns = torch.arange(64.0)
    right = [STRUCTURES["right kidney cortex"], STRUCTURES["liver"]]
    left = [STRUCTURES["left kidney cortex"], STRUCTURES["spleen"]]
    ordered = []
    for batch in batches:
        for labels in (*batch.support_labels.flatten(0, 1), *batch.query_labels.flatten(0, 1)):
            places = []
            for side in (right, left):
                mask = torch.isin(labels, torch.tensor(side))
                places.append(
                    float((mask.float().sum(0) @ columns) / mask.sum()) if mask.sum() > 10 else float("nan")
                )
            if not np.isnan(places).any():
                ordered.append(places[0] < places[1])
    assert len(ordered) > 20 and np.mean(ordered) > 0.95


def test_the_front_stays_in_front(batches: list[EpisodeBatch]) -> None:
    rows = torch.arange(64.0)
    spine = STRUCTURES["vertebra"]
    for batch in batches:
        for labels in batch.query_labels.flatten(0, 1):
            body, bone = labels != 0, labels == spine
            if bone.sum() > 30:
                assert (bone.float().sum(1) @ rows) / bone.sum() > (body.float().sum(1) @ rows) / body.sum()


def test_levels_belong_to_the_slices(source: PhantomEpisodes, batches: list[EpisodeBatch]) -> None:
    known = source.levels.unique()
    for batch in batches:
        assert torch.isin(batch.query_levels, known).all() and torch.isin(batch.support_levels, known).all()


def test_every_frequent_class_is_asked_for(source: PhantomEpisodes) -> None:
    asked = np.zeros(len(NAMES))
    rng = np.random.default_rng(0)
    for _ in range(200):
        chosen, support, query = source._plan(rng, 3)
        seen = source.area[support.patient][support.slices][:, chosen[0]] >= 24
        assert seen.any() or (chosen[0] == NAMES.index("mass") and support.mass is not None)
        assert len(support.slices) == 3 and len(query.slices) == 4 and 0 <= query.patient < 4
        assert query.slices.min() >= 0 and query.slices.max() < source.labels.shape[1]
        asked[chosen] += 1
    for name in ("liver", "spleen", "right kidney", "left kidney", "stomach"):
        assert asked[NAMES.index(name)] > 5
    assert FREQUENCY.min() > 0 and membership().any(1).all()


def test_area_counts_the_voxels_of_each_class(source: PhantomEpisodes) -> None:
    liver = [STRUCTURES[s] for s in ("liver", "liver vessel", "liver lesion")]
    expected = torch.isin(source.labels, torch.tensor(liver, dtype=torch.uint8)).sum((2, 3))
    np.testing.assert_array_equal(source.area[:, :, NAMES.index("liver")], expected.numpy())


@pytest.mark.parametrize(("level", "low", "high"), [(0.0, 0.65, 0.85), (np.nan, 0.87, 1.0)])
def test_patients_of_a_pair_mostly_show_the_same_part(
    phantom_stack: PhantomDataset, level: float, low: float, high: float
) -> None:
    """Rarely another where only one has a level; trunk and thorax meet more often."""
    levels = phantom_stack.levels.clone()
    levels[2:] = levels[2:] + level
    parts = torch.tensor([0, 0, 1, 1])
    settings = EpisodeSettings.model_validate({"size": 64, "same_patient": 0.0})
    source = PhantomEpisodes(phantom_stack.labels, levels, parts, phantom_stack.spacing, settings)
    rng = np.random.default_rng(0)
    pairs = [source._patients(rng) for _ in range(400)]
    assert low < np.mean([parts[a] == parts[b] for a, b in pairs]) < high


MASS = NAMES.index("mass")


def looks_of(
    source: PhantomEpisodes, own: list[bool], first: list[int]
) -> list[tuple[ScannerAppearance, ScannerAppearance, bool, bool]]:
    """Looks of both sides of many episodes, and whether each was drawn as PET."""
    pets: list[ScannerAppearance] = []

    def sample_appearance(rng: np.random.Generator, kind: int | None = None) -> ScannerAppearance:
        look = appearance.sample_appearance(rng, kind)
        if kind == PET:
            pets.append(look)
        return look

    found = []
    with patch.object(sampling, "sample_appearance", sample_appearance):
        for seed in range(60):
            looks, others = source._looks(own, first, np.random.default_rng(seed))
            found += [
                (one, two, any(one is p for p in pets), any(two is p for p in pets))
                for one, two in zip(looks, others, strict=True)
            ]
    return found


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.4, 0.25, 0.55), (1.0, 1, 1)])
def test_the_setting_is_the_share_of_episodes_for_masses_that_are_pet(
    phantom_stack: PhantomDataset, share: float, low: float, high: float
) -> None:
    source = episodes(phantom_stack, pet_masses=share)
    found = looks_of(source, [False, False], [MASS, MASS])
    assert low <= np.mean([one for *_, one, _ in found]) <= high
    for look, other, one, two in found:
        assert one == two
        assert not one or not np.allclose(look.values, other.values, atol=0.1)  # a scanner each


def test_pet_on_both_sides_is_for_masses_alone_and_one_scan_stays_one(phantom_stack: PhantomDataset) -> None:
    source = episodes(phantom_stack, pet_masses=1.0)
    found = looks_of(source, [False, True], [NAMES.index("liver"), MASS])
    assert not any(one or two for _, _, one, two in found[::2])
    assert all(one and two and look is other for look, other, one, two in found[1::2])


def test_lesions_in_pet_episodes_are_brighter_than_the_liver(phantom_stack: PhantomDataset) -> None:
    source = episodes(phantom_stack, masses=1.0, pet_masses=1.0, own_scan=0.0)
    first: list[int] = []
    plan = source._plan

    def noted(rng: np.random.Generator, shots: int) -> object:
        planned = plan(rng, shots)
        first.append(int(planned[0][0]))
        return planned

    gaps = []
    with patch.object(source, "_plan", noted):
        for seed in range(30):
            first.clear()
            batch = draw(source, seed)
            for e in np.flatnonzero(np.array(first) == MASS):
                for images, labels in (
                    (batch.support[e], batch.support_labels[e]),
                    (batch.query[e], batch.query_labels[e]),
                ):
                    of = tissue_values(images, labels)
                    gaps.append(float(of[STRUCTURES["mass"]] - of[STRUCTURES["liver"]]))
    known = np.array(gaps)[~np.isnan(gaps)]
    assert len(known) > 15
    assert known.mean() > 0.1 and np.mean(known > 0) > 0.7


def test_slices_of_several_masses_are_the_class_and_queries_come_from_near_them(
    source: PhantomEpisodes,
) -> None:
    lesions = tuple(Mass((z, 30.0, 30.0), (20.0,) * 3, np.zeros((0, 3)), 0.0) for z in (8.0, 40.0))
    masses = Masses(lesions)
    seen = source._seen(0, masses)
    expected = np.zeros(52, bool)
    expected[[6, 7, 8, 9, 10, 38, 39, 40, 41, 42]] = True  # 16 mm, of slices of 8 mm
    np.testing.assert_array_equal(seen[:, MASS], expected)
    np.testing.assert_array_equal(np.delete(seen, MASS, 1), np.delete(source._seen(0, None), MASS, 1))
    rng = np.random.default_rng(0)
    with patch.object(source, "settings", source.settings.model_copy(update={"anywhere": 0.0})):
        drawn = np.concatenate([source._query_slices(rng, seen, [MASS]) for _ in range(200)])
    assert set(drawn.tolist()) == {*range(2, 15), *range(34, 47)}
