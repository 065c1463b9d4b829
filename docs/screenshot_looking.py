"""Pictures of looking, measuring and reviewing; ``make_screenshots.py --looking`` is the command."""

from __future__ import annotations

from pathlib import Path

from screenshot_steps import PATIENCE, Photographer, fullest

from napari_cpclnet.gui.contributions.sample_data import painted_ct_and_mr
from napari_cpclnet.gui.layers.view import show_scan

# Rows and columns of the phantoms, in the liver.
IN_THE_LIVER = (60, 52)


def make_looking(folder: Path, theme: str) -> None:
    """Label the MR of the sample from its painted CT, and look at it in every way."""
    photographer = Photographer(folder, theme)
    day, hands, viewer = photographer.day, photographer.hands, photographer.viewer
    hands.click(day.tab.first_steps.close_button)
    for data, kwargs, kind in painted_ct_and_mr():
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    hands.until(lambda: day.painted is not None, "the painted slices are found")
    session, bar, results = day.panel.session, day.tab.viewing, day.tab.results
    day.tab.options.set_options(
        session.options.model_copy(update={"align": False})
    )  # the phantoms need no more
    day.run()
    day.run_to_the_end(PATIENCE)
    show_scan(viewer, viewer.layers["phantom_ct"])
    viewer.layers.selection.active = day.painted
    hands.wait(0.3)
    hands.click(bar.window_row.field)
    menu = bar.window_row.menu
    hands.until(menu.isVisible, "the presets are offered")
    place = bar.window_row.field.mapTo(photographer.window, bar.window_row.field.rect().bottomLeft())
    place.setX(min(place.x(), photographer.window.width() - menu.width()))
    photographer.shoot("window", [(menu, place)])
    menu.close()

    day.look_at_result("phantom_mr")
    show_scan(viewer, viewer.layers["phantom_mr"])
    viewer.layers.selection.active = day.result
    index = fullest(day.result)
    hands.go_to(day.result, index)

    hands.click(bar.planes)
    hands.until(lambda: bar.planes_dock.on, "the planes open")
    world = day.result.data_to_world((index, *IN_THE_LIVER))
    viewer.dims.set_point((0, 1, 2), [float(value) for value in world])
    box = bar.planes_dock.box
    box.other.setCurrentText("phantom_ct")
    hands.until(lambda: box.by.isEnabled() and not box.link.runner.is_running, "levels are found", PATIENCE)
    photographer.show(results)
    photographer.shoot("planes")
    hands.click(bar.planes)

    hands.click(bar.in_3d)
    hands.until(lambda: bar.surfaces.on, "the surfaces are made", PATIENCE)
    photographer.shoot("surfaces")
    hands.click(bar.in_3d)

    hands.click(bar.statistics)
    box = bar.statistics_dock.box
    hands.until(lambda: box.table.rowCount() and not box.runner.is_running, "all is measured", PATIENCE)
    box.all_scans.click()
    hands.until(lambda: box.table.rowCount() > 4 and not box.runner.is_running, "all is measured", PATIENCE)
    photographer.shoot("statistics")
    hands.click(bar.statistics)

    results.review.go_on()
    results.review.accept_slice()
    results.review.accept_slice()
    photographer.show(day.tab.mend, above=True)
    photographer.shoot("review")
    viewer.close()
