"""What ``segment`` says of the machine it runs on: once, on stderr."""

from __future__ import annotations

import pytest

from napari_cpclnet import model
from napari_cpclnet.segmentation import Segmenter

from .test_segment import Case, Run, case, run  # noqa: F401


def on_device(arguments: list[str], device: str) -> list[str]:
    place = arguments.index("--device") + 1
    return [*arguments[:place], device, *arguments[place + 1 :]]


@pytest.mark.parametrize(("device", "times"), [("auto", 1), ("cpu", 0)])
def test_what_to_install_for_an_unused_gpu_is_said_to_those_who_did_not_ask_for_the_cpu(
    case: Case,  # noqa: F811
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    times: int,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr(model, "unused_gpu", lambda: "Install this.")
    code, _, err = run(on_device(case.arguments(query=[case.query, case.image]), device))
    assert code == 0, err
    assert err.splitlines().count("Note: Install this.") == times


def test_what_was_done_about_full_memory_is_said_once_for_all_queries(
    case: Case,  # noqa: F811
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Segmenter, "notes", property(lambda _: ("Fewer slices at once.",)))
    code, _, err = run(case.arguments(query=[case.query, case.image]))
    assert code == 0, err
    assert err.splitlines().count("Note: Fewer slices at once.") == 1
