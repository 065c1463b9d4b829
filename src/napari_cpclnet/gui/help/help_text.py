"""Text of the help page. No Qt."""

from __future__ import annotations

from collections.abc import Mapping

STEPS = (
    ("Open a scan", "Drop a NIfTI, NRRD or MetaImage file or a DICOM folder on the canvas."),
    (
        "Paint",
        "<i>New</i> adds an empty layer exactly on the scan. Add a class, and paint the organ "
        "completely on about five slices, spread over its extent. What you leave out on a painted slice counts as "
        "absent there.",
    ),
    (
        "Tick the scans to label",
        "Other scans that are open, of whatever modality, or files and folders. The painted scan itself may be one.",
    ),
    ("Run", "Every scan gets a labels layer that fills slice by slice, from the one in view outwards."),
    (
        "Look and correct",
        "Paint over what is wrong in a result: it stays when you run again. <i>Add to support</i> makes the slice in "
        "view one that teaches, and <i>Suggest</i> goes to the slice whose painting would help most.",
    ),
    (
        "Review",
        "<b>N</b> goes to the next slice to review, of all scans, <b>K</b> accepts the slice in view, <b>J</b> goes to "
        "the next scan. A project keeps what was accepted.",
    ),
)

WORDS = (
    ("Support", "the scans you painted on, and their painted slices"),
    ("Query", "a scan to be labelled"),
    ("Class", "something you paint: a label value with its name and colour"),
    ("Plane", "in which direction slices are cut: by itself as you paint them; scans are labelled alike"),
)

ODD = (
    (
        "It is slow",
        "The status line at the bottom of the panel names the device. With a GPU a scan takes seconds, with a CPU "
        "minutes.",
    ),
    (
        "An organ is missing or too large",
        "Paint a slice there, of this very scan if you can: its painted slices are kept exactly.",
    ),
    (
        "A scan cannot be ticked",
        "Its tooltip says why. Colour pictures and scans of several phases in one layer cannot be labelled.",
    ),
    (
        "Is my work safe?",
        "Runs never change a layer that you painted, and Ctrl+Z takes strokes back.",
    ),
)


def help_html(shortcuts: Mapping[str, str], muted: str, accent: str) -> str:
    """Page in Qt's subset of HTML.

    Parameters
    ----------
    shortcuts
        What each does, by the keys as they are printed.
    muted, accent
        Colours of what stands back and of links.
    """
    steps = "".join(f"<li><b>{title}.</b> {text}</li>" for title, text in STEPS)
    keys = "".join(
        f'<tr><td style="padding: 2px 12px 2px 0px"><b>{key}</b></td><td style="padding: 2px 0px">{what}</td></tr>'
        for key, what in shortcuts.items()
    )
    words = "".join(f"<p><b>{word}</b>: {meaning}.</p>" for word, meaning in WORDS)
    odd = "".join(f"<p><b>{what}.</b> {answer}</p>" for what, answer in ODD)
    return f"""
    <style>
      h3 {{ margin-top: 14px; margin-bottom: 4px; }}
      p, li {{ margin-top: 2px; margin-bottom: 4px; }}
      ol {{ margin-left: -20px; }}
      a {{ color: {accent}; }}
      .muted {{ color: {muted}; }}
    </style>
    <h3>First steps</h3>
    <ol>{steps}</ol>
    <p><a href="example">Open an example</a>: a painted CT phantom, and an MR phantom to label.</p>
    <h3>Shortcuts</h3>
    <table cellspacing="0">{keys}</table>
    <p class="muted">They work wherever the focus is, single letters
    wherever no text is typed. The keys of napari's paint tools stay as they are: 2 paints, 1
    erases, 4 fills, [ and ] change the brush; the arrows turn slices.</p>
    <h3>Glossary</h3>
    {words}
    <h3>Troubleshooting</h3>
    {odd}
    <h3>Preferences</h3>
    <p><i>File &gt; Preferences &gt; CPCLNet</i> sets the device, the weights, the windows in which scans open, and
    classes of your own that <i>Add class</i> offers first.</p>
    """
