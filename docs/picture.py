"""Draw docs/report.png, the README's picture of a report: `python docs/picture.py RUN`, or `make picture`.

A browser without a window shows the top of the run's report.html beside its part on probabilities. Needed are Chromium
or Chrome (Debian: `apt-get install chromium`) and Pillow, which comes with matplotlib.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURE = Path(__file__).resolve().parent / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FRAME = (960, 1120)
"""Width and height of each of the two frames, in pixels."""
COLOURS = 256
"""The report has few; a palette makes the file a third as large."""
PAGE = """<!doctype html><style>body {{ margin: 0; display: flex; background: white; }}
iframe {{ border: 0; width: {width}px; height: {height}px; }}</style>
<iframe src="{report}" scrolling="no"></iframe><iframe src="{report}#probabilities" scrolling="no"></iframe>"""


def draw(report: Path, picture: Path) -> None:
    """Write the picture of a report.

    Raises:
        SystemExit: there is no browser.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed; on Debian: apt-get install chromium")
    width, height = FRAME
    with tempfile.TemporaryDirectory() as folder:
        page, screenshot = Path(folder, "page.html"), Path(folder, "screenshot.png")
        page.write_text(PAGE.format(report=report.resolve().as_uri(), width=width, height=height), encoding="utf-8")
        flags = [
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            "--disable-gpu",
            f"--window-size={2 * width},{height}",
        ]
        flags += [f"--user-data-dir={folder}/profile", f"--screenshot={screenshot}"]
        subprocess.run([browser, *flags, page.as_uri()], check=True, capture_output=True)
        with Image.open(screenshot) as image:
            image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) / "report.html", PICTURE)
