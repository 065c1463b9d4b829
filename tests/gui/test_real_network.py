"""The panel with the network itself: small and untrained, or the bundled weights."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Layer

from napari_cpclnet.gui.contributions.sample_data import painted_ct_and_mr
from napari_cpclnet.gui.jobs.segmenters import SegmenterMaker
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.segmentation.settings import PostprocessingSettings, RunSettings

from .doubles import DIRECTIONS, add_volume, longest_pause, make_volume


def untrained(options):
    import torch

    from napari_cpclnet.model import CPCLNet, CPCLNetSettings
    from napari_cpclnet.segmentation import Segmenter

    torch.manual_seed(0)
    settings = CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1)
    return Segmenter(CPCLNet(settings), options)


def run(qtbot, panel, timeout=300_000):
    panel.segment.bar.press()
    assert panel.segment.bar.state is RunState.RUNNING, panel.segment.bar.message.text()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=timeout)
    assert panel.segment.bar.message.property("kind") != "error", panel.segment.bar.message.text()


def paint(panel, viewer, name="ct"):
    panel.session.support_scan = viewer.layers[name]
    labels = panel.session.new_support_labels()
    np.moveaxis(labels.data, panel.session.slices.slice_axis() if labels.ndim == 3 else 0, 0)[2, 3:9, 3:9] = 1
    np.moveaxis(labels.data, panel.session.slices.slice_axis() if labels.ndim == 3 else 0, 0)[5, 4:9, 3:9] = 3
    panel.segment.refresh()
    return labels


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_every_scan_is_labelled_on_its_own_grid(qtbot, viewer, make_panel, direction):
    panel = make_panel(untrained)
    add_volume(viewer, make_volume("mr", direction, (6, 30, 26)))
    ct = add_volume(viewer, make_volume("ct", direction, (8, 24, 20)))
    labels = paint(panel, viewer)
    panel.session.tick_query(ct, True)
    run(qtbot, panel)
    assert viewer.layers["mr – CPCLNet"].data.shape == (6, 30, 26)
    own, axis = viewer.layers["ct – CPCLNet"].data, panel.session.slices.slice_axis()
    for index in panel.session.slices.painted_slices():
        np.testing.assert_array_equal(np.take(own, index, axis), np.take(labels.data, index, axis))
    assert set(np.unique(own)) <= {0, 1, 3}


def test_the_network_can_be_adapted_to_the_painted_slices_first(qtbot, viewer, make_panel):
    made = []

    def factory(options):
        made.append(untrained(options))
        return made[-1]

    panel = make_panel(factory)
    ct = add_volume(viewer, make_volume("ct", shape=(8, 24, 20)))
    labels = paint(panel, viewer)
    panel.session.tick_query(ct, True)
    panel.segment.options.adapt.setValue(2)
    run(qtbot, panel)
    before, after = untrained(panel.session.options).model.state_dict(), made[0].model.state_dict()
    assert any(not before[name].equal(after[name]) for name in before)
    own, axis = viewer.layers["ct – CPCLNet"].data, panel.session.slices.slice_axis()
    for index in panel.session.slices.painted_slices():
        np.testing.assert_array_equal(np.take(own, index, axis), np.take(labels.data, index, axis))


def test_an_adapted_run_leaves_the_weights_of_the_next_alone():
    maker = SegmenterMaker()
    adapted, plain = maker(RunSettings(device="cpu", adapt=5)), maker(RunSettings(device="cpu"))
    assert adapted.model is not plain.model
    assert maker(RunSettings(device="cpu")).model is plain.model


@pytest.fixture
def counting_maker(monkeypatch):
    """The panel's own factory with a small network that counts the slices it encodes, in ``encoded``."""
    model = untrained(RunSettings(device="cpu")).model
    monkeypatch.setattr("napari_cpclnet.model.load_weights", lambda *_args, **_kwargs: model)
    maker, encode = SegmenterMaker(), model.encode
    maker.encoded = 0

    def counted(images, levels=None):
        maker.encoded += len(images)
        return encode(images, levels)

    monkeypatch.setattr(model, "encode", counted)
    return maker


def test_a_second_run_encodes_no_slice_again(qtbot, viewer, make_panel, counting_maker):
    panel = make_panel(counting_maker)
    add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    labels = paint(panel, viewer)
    run(qtbot, panel)
    assert counting_maker.encoded >= 8
    counting_maker.encoded = 0
    labels.data[3, 3:9, 3:9] = 1
    result = viewer.layers["mr – CPCLNet"]
    corrected = 1 if result.data[4, 5, 5] == 3 else 3
    result.data_setitem((np.array([4]), np.array([5]), np.array([5])), corrected)
    run(qtbot, panel)
    assert counting_maker.encoded <= 1, "only the slice that was painted meanwhile"
    assert viewer.layers["mr – CPCLNet"].data[4, 5, 5] == corrected


def test_other_settings_keep_what_was_encoded(counting_maker):
    volume = make_volume("ct")
    first = counting_maker.same(RunSettings(device="cpu"))
    first.scan(volume).features(range(8))
    counting_maker.encoded = 0
    second = counting_maker.same(
        RunSettings(device="cpu", postprocessing=PostprocessingSettings(fill_holes=True))
    )
    second.scan(volume).features(range(8))
    assert counting_maker.encoded == 0
    assert second.settings.postprocessing.fill_holes


def test_evaluations_have_segmenters_of_their_own(counting_maker):
    options = RunSettings(device="cpu")
    assert counting_maker(options) is not counting_maker.same(options)


def test_a_slice_is_suggested_and_shown(qtbot, viewer, make_panel, counting_maker):
    panel = make_panel(counting_maker)
    mr = add_volume(viewer, make_volume("mr", shape=(12, 40, 36)))
    add_volume(viewer, make_volume("ct"))
    paint(panel, viewer)
    show_scan(viewer, mr)
    viewer.layers.selection.active = mr
    panel.segment.results.suggest.click()
    bar = panel.segment.bar
    assert bar.state is RunState.RUNNING
    panel.segment.control.start()  # one thing at a time
    qtbot.waitUntil(lambda: bar.state is RunState.READY, timeout=300_000)
    text = bar.message.text()
    assert text.startswith("Paint slice "), text
    assert f"Paint slice {viewer.dims.current_step[0]} of mr next." in text
    assert "mr – CPCLNet" not in viewer.layers, "to ask is not to run"
    counting_maker.encoded = 0
    run(qtbot, panel)
    assert counting_maker.encoded == 0


def test_a_slice_is_suggested_before_anything_is_painted(qtbot, viewer, make_panel, counting_maker):
    panel = make_panel(counting_maker)
    add_volume(viewer, make_volume("ct", shape=(12, 40, 36)))
    panel.segment.refresh()
    bar = panel.segment.bar
    panel.segment.suggest.start()
    assert "Name the classes" in bar.message.text()
    panel.session.class_actions.add("liver")
    panel.segment.suggest.start()
    qtbot.waitUntil(lambda: bar.state is RunState.READY, timeout=300_000)
    assert bar.message.text().startswith("Paint slice "), bar.message.text()


@pytest.mark.parametrize("plane", ["coronal", "sagittal", "native"])
def test_other_planes(qtbot, viewer, make_panel, plane):
    panel = make_panel(untrained)
    add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    options = panel.segment.options
    options.plane.setCurrentIndex(options.plane.findData(plane))
    paint(panel, viewer)
    run(qtbot, panel)
    assert "mr – CPCLNet" in viewer.layers


def test_two_dimensional_images_of_another_reader(qtbot, viewer, make_panel):
    panel = make_panel(untrained)
    rng = np.random.default_rng(0)
    viewer.add_image(rng.random((40, 50)).astype(np.float32), name="second")
    viewer.add_image(rng.random((60, 50)).astype(np.float32), name="first")
    panel.session.support_scan = viewer.layers["first"]
    panel.session.new_support_labels().data[10:30, 10:30] = 1
    panel.segment.refresh()
    run(qtbot, panel)
    assert viewer.layers["second – CPCLNet"].data.shape == (40, 50)


def test_event_loop_turns_while_the_network_computes(qtbot, viewer, make_panel):
    panel = make_panel(untrained)
    add_volume(viewer, make_volume("mr", shape=(30, 256, 256)))
    add_volume(viewer, make_volume("ct", shape=(30, 256, 256)))
    paint(panel, viewer)
    assert longest_pause(lambda: run(qtbot, panel)) < 0.2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_bundled_weights_find_the_organs_of_the_sample(qtbot, viewer, make_panel):
    from napari_cpclnet.gui.contributions.sample_data import SEED
    from napari_cpclnet.model import bundled_weights
    from napari_cpclnet.phantoms.demo import demo_scan

    if not bundled_weights().is_file():
        pytest.skip("no weights are bundled in this checkout")
    panel = make_panel(SegmenterMaker())
    for data, kwargs, kind in painted_ct_and_mr():
        viewer.add_layer(Layer.create(data, kwargs, kind))
    panel.segment.refresh()
    run(qtbot, panel, timeout=300_000)
    truth = demo_scan("MR", [SEED, 1], every=2).truth.labels == 1
    found = viewer.layers["phantom_mr – CPCLNet"].data == 1
    dice = 2 * (truth & found).sum() / (truth.sum() + found.sum())
    assert dice > 0.5, f"Dice of the liver: {dice:.2f}"
