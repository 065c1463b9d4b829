"""The tables of the Evaluate tab, and the way from a row to its errors."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.evaluation import BASELINE_NAMES
from napari_cpclnet.evaluation.baselines.registry import DESCRIPTIONS
from napari_cpclnet.evaluation.report import pictures
from napari_cpclnet.evaluation.settings import PROTOCOLS as ALL_PROTOCOLS
from napari_cpclnet.gui.evaluate import evaluation_box
from napari_cpclnet.gui.evaluate.score_table import DICE, ORGAN
from napari_cpclnet.gui.evaluate.truth_table import is_own
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.scan_layers import copied_transform, same_grid
from napari_cpclnet.gui.session.error_layer import COLOURS, compare, worst_slice
from napari_cpclnet.gui.widgets.run_bar import RunState

from .doubles import DIRECTIONS, add_volume, make_volume
from .evaluation_doubles import add_case, known, run
from .test_evaluate_run import use_table, write_table


@pytest.fixture
def panel(make_panel):
    panel = make_panel(known())
    panel.evaluate.settings.shots.setText("2")
    return panel


def errors(viewer):
    return [layer for layer in viewer.layers if "errors of" in layer.name]


def click(qtbot, panel, viewer, patient):
    scores = panel.evaluate.scores
    row = next(n for n in range(scores.rowCount()) if scores.results()[n].query_patient == patient)
    before = errors(viewer)
    scores.cellClicked.emit(row, 0)
    qtbot.waitUntil(lambda: bool(errors(viewer)) and errors(viewer) != before, timeout=300_000)
    (layer,) = errors(viewer)
    return layer


def test_what_the_panel_offers_is_what_the_evaluation_has():
    assert set(DESCRIPTIONS) == set(BASELINE_NAMES)
    assert {name for names in evaluation_box.PROTOCOLS.values() for name in names} == set(ALL_PROTOCOLS)
    assert list(COLOURS.values()) == [
        pictures.TRUE_POSITIVE,
        pictures.FALSE_POSITIVE,
        pictures.FALSE_NEGATIVE,
    ]


def test_errors_are_told_apart():
    predicted, truth = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert compare(predicted, truth).tolist() == [1, 2, 3, 0]


def test_worst_slice_counts_errors_before_hits():
    labels = np.zeros((4, 5, 5), np.uint8)
    labels[1] = 1
    assert worst_slice(labels, 0) == 1
    labels[2, 0, 0] = 2
    labels[3, 0, :2] = 3
    assert worst_slice(labels, 0) == 3
    assert worst_slice(np.zeros((5, 2, 2), np.uint8), 0) == 2


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_click_lays_the_errors_on_the_scan_at_the_worst_slice(qtbot, viewer, panel, direction):
    add_case(viewer, "ct", direction=direction)
    add_case(viewer, "mr", direction=direction, missing=5)
    run(qtbot, panel)
    layer = click(qtbot, panel, viewer, "mr")
    scan, truth = viewer.layers["mr"], viewer.layers["mr truth"].data
    assert same_grid(layer, scan)
    np.testing.assert_array_equal(layer.data, compare(scan.data > 0.5, truth > 0))
    assert (layer.data[5] == 2).any()
    shown = viewer.dims.point[viewer.dims.order[0]]
    axis = panel.session.slices.slice_axis()
    wrong = np.count_nonzero(layer.data > 1, axis=tuple(a for a in range(3) if a != axis))
    position = np.array([(n - 1) / 2 for n in layer.data.shape])
    position[axis] = wrong.argmax()
    assert shown == pytest.approx(layer.data_to_world(position)[axis])
    assert layer.visible
    assert scan.visible
    assert not viewer.layers["ct"].visible
    # The layer of the next case takes its place, and nobody takes it for painted slices.
    other = click(qtbot, panel, viewer, "ct")
    assert other.name.startswith("ct")
    assert set(np.unique(other.data)) == {0, 1}
    assert is_result(other)


def test_a_scan_that_is_not_open_is_opened_once(qtbot, viewer, panel, tmp_path):
    use_table(panel, write_table(tmp_path, "a", "b"), tmp_path / "out")
    run(qtbot, panel)
    for _ in range(2):
        layer = click(qtbot, panel, viewer, "b")
        images = [one for one in viewer.layers if one._type_string == "image"]
        assert len(images) == 1
        assert same_grid(layer, images[0])
        viewer.layers.remove(layer)


def test_a_removed_scan_comes_back(qtbot, viewer, panel):
    add_case(viewer, "ct")
    add_case(viewer, "mr")
    run(qtbot, panel)
    viewer.layers.clear()
    layer = click(qtbot, panel, viewer, "mr")
    assert same_grid(layer, viewer.layers["mr"])


def test_a_prediction_that_is_gone_is_one_sentence(qtbot, viewer, panel):
    add_case(viewer, "ct")
    add_case(viewer, "mr")
    run(qtbot, panel)
    for file in (panel.evaluate.control.job.out / "predictions").iterdir():
        file.unlink()
    panel.evaluate.scores.cellClicked.emit(0, 0)
    qtbot.waitUntil(lambda: "was not kept" in panel.evaluate.bar.message.text(), timeout=300_000)


def test_scores_are_sorted_as_numbers(qtbot, viewer, panel):
    add_case(viewer, "ct")
    add_case(viewer, "mr", missing=5)
    run(qtbot, panel)
    scores = panel.evaluate.scores
    for order, sign in ((Qt.SortOrder.AscendingOrder, 1), (Qt.SortOrder.DescendingOrder, -1)):
        scores.sortItems(DICE, order)
        dice = [sign * row.dice for row in scores.results()]
        assert dice == sorted(dice)
        shown = [scores.item(row, DICE).text() for row in range(2)]
        assert shown == [f"{sign * value:.3f}" for value in dice]
    assert scores.item(0, ORGAN).text() == "box"


def test_only_scans_with_labels_on_their_grid_can_be_ticked(viewer, panel):
    add_case(viewer, "ct")
    add_volume(viewer, make_volume("bare", shape=(6, 24, 20)))
    panel.evaluate.refresh()
    table = panel.evaluate.source.truths
    rows = {table.item(row, 0).text(): table.item(row, 0) for row in range(table.rowCount())}
    assert rows["ct"].checkState() == Qt.CheckState.Checked
    assert rows["bare"].checkState() == Qt.CheckState.Unchecked
    assert not rows["bare"].flags() & Qt.ItemFlag.ItemIsEnabled
    assert [pair.scan.name for pair in table.pairs()] == ["ct"]
    rows["ct"].setCheckState(Qt.CheckState.Unchecked)
    panel.evaluate.refresh()
    with pytest.raises(Exception, match="Tick at least one"):
        table.pairs()


def test_painting_after_the_start_does_not_reach_the_truth(viewer, panel):
    add_case(viewer, "ct")
    panel.evaluate.refresh()
    (pair,) = panel.evaluate.source.truths.pairs()
    viewer.layers["ct truth"].data[...] = 0
    assert pair.truth.any()


def test_choices_survive_new_layers(qtbot, viewer, panel):
    add_case(viewer, "ct")
    panel.evaluate.refresh()
    panel.evaluate.source.truths.item(0, 2).setText("patient 7")
    add_case(viewer, "mr")
    qtbot.waitUntil(lambda: panel.evaluate.source.truths.rowCount() == 2, timeout=300_000)
    patients = {pair.scan.name: pair.patient for pair in panel.evaluate.source.truths.pairs()}
    assert patients == {"ct": "patient 7", "mr": "mr"}


def test_painted_slices_are_not_taken_for_the_truth(panel, viewer):
    scan = add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.segment.support.new.click()
    layer = panel.session.support_labels
    for index in (2, 5):
        layer.paint((index, 12, 10), 1)
    panel.evaluate.refresh()
    table = panel.evaluate.source.truths
    assert table.item(0, 0).flags() == Qt.ItemFlag.NoItemFlags
    with pytest.raises(CpclnetError, match="Tick at least one scan"):
        table.pairs()
    table._choose_truth(table._choices[0], layer)
    with pytest.raises(CpclnetError, match="slices without paint between"):
        table.pairs()
    # Those of napari's own button are painted, too; a truth that was opened is not, whatever is drawn on it.
    own = viewer.add_labels(np.zeros(scan.data.shape, np.uint8), name="Labels", **copied_transform(scan))
    own.paint((2, 12, 10), 1)
    assert is_own(own)
    truth = viewer.add_labels(np.ones(scan.data.shape, np.uint8), name="truth", **copied_transform(scan))
    assert not is_own(truth)
    table.refresh()
    table._choices[0].truth = None
    (pair,) = table.pairs()
    assert pair.truth_name == "truth"


def test_a_result_is_not_taken_for_the_truth(qtbot, panel, viewer):
    add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.segment.support.new.click()
    panel.session.support_labels.paint((3, 12, 10), 1)
    panel.segment.refresh()
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    assert any(is_result(layer) for layer in viewer.layers)
    panel.evaluate.refresh()
    with pytest.raises(CpclnetError, match="Tick at least one scan"):
        panel.evaluate.source.truths.pairs()
