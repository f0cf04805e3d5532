"""Screenshots of the page of ``qvl-fast view``, for docs/view.md.

    python docs/screenshots.py

Needs selenium, chromium and its chromedriver. Each is of a picture in samples/.
"""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver

from qvl_fast import view

ROOT = Path(__file__).parent
SAMPLES = {
    "coffee.png": ("qwen2.5-vl", ["windows"]),
    "rocket.jpg": ("qwen3-vl", []),
    "hubble_deep_field.jpg": ("qwen2-vl", ["patches"]),
}


def main() -> None:
    """Take them all."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1100,720"):
        options.add_argument(argument)
    # Named, since selenium would look for them on the network.
    options.binary_location = shutil.which("chromium")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, (config, layers) in SAMPLES.items():
                page = Path(folder, name).with_suffix(".html")
                view(ROOT.parent / "samples" / name, config).save(page)
                browser.get(page.as_uri())
                for layer in layers:
                    browser.find_element("id", layer).click()
                # The name holds this machine's folders.
                browser.execute_script(
                    "document.getElementById('name').textContent = arguments[0]",
                    f"{name} ({config})",
                )
                screen = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
                screen.save(ROOT / "images" / f"{page.stem}.jpg", quality=75)
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
