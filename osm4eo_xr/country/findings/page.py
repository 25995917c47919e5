"""Parts of the report's page: pictures, tables, what folds away."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image(figure: Figure, text: str) -> str:
    """Embed a figure; its metadata would name the drawing library's version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<p><img alt="{html.escape(text)}" src="data:image/png;base64,{data}"></p>'


def folded(title: str, content: str) -> str:
    """Return what opens when its title is clicked."""
    return f"<details><summary>{title}</summary>{content}</details>"


def table(head: tuple[str, str], rows: Any) -> str:
    """Return a table of two columns: words, and what is shown as code."""
    cells = "".join(
        f"<tr><td>{html.escape(str(a))}</td><td><code>{html.escape(_number(b))}</code></td></tr>"
        for a, b in rows
    )
    return f"<table><tr><th>{head[0]}</th><th>{head[1]}</th></tr>{cells}</table>"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
