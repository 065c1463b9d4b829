"""Error messages and exit codes of the command line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.files.bounded import shown as cut

WRONG_INPUT = 2
INTERRUPTED = 130


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can mend into one sentence on stderr and exit code 2, and Ctrl-C into exit code 130."""
    try:
        yield
    except CpclnetError as error:
        typer.echo(f"Error: {shown(str(error))}", err=True)
        raise typer.Exit(WRONG_INPUT) from None
    except MemoryError:
        typer.echo("Error: not enough memory; close other programs or crop the scan.", err=True)
        raise typer.Exit(WRONG_INPUT) from None
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            raise
        # every look at such a path fails, wherever it comes first
        typer.echo(f"Error: {shown(cut(error.filename, 200))}: is no path ({error.strerror}).", err=True)
        raise typer.Exit(WRONG_INPUT) from None
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def shown(text: str) -> str:
    """Text without the codes by which a terminal is steered: names of files and series may hold anything."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
