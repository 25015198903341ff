"""Make the picture of the page in README: ``python tests/support/page_picture.py http://127.0.0.1:8000``.

It asks a running graph about pyannote's sample, a telephone conversation of two people.
"""

import sys
from pathlib import Path

from chromium import browser
from launched import sample_path
from page_actions import analyze

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "page.png"
MAX_BYTES = 250_000
VIEWPORT = {"width": 1200, "height": 1010}


def main(url: str) -> None:
    """Write the picture of a graph's answers."""
    with browser() as chromium:
        page = chromium.new_page(viewport=VIEWPORT)
        page.goto(url)
        analyze(page, sample_path(), within_s=120)
        page.evaluate("document.fonts.ready")
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
    size = PICTURE.stat().st_size
    assert size <= MAX_BYTES, f"{PICTURE} has {size} bytes."


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2])]
    main(sys.argv[1])
