"""The page of ``view`` in a browser."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from qvl_fast import boxes, view
from qvl_fast.views import gallery

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SIZE = (280, 420)  # 10 x 15 tokens


@pytest.fixture(scope="module")
def browser():
    if not (CHROMIUM and DRIVER):
        if os.environ.get("CI"):
            pytest.fail("CI has to install chromium and chromium-driver")
        pytest.skip("no chromium with its chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def shown(browser, tmp_path):
    """Opens the page of some views."""

    def show(*views):
        path = tmp_path / "page.html"
        path.write_text(gallery(views), encoding="utf-8")
        browser.get(path.as_uri())
        return browser

    return show


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def facts(browser):
    lines = browser.find_elements("css selector", "#token tr")
    return dict(tuple(cell.text for cell in line.find_elements("xpath", "*")) for line in lines)


def point(browser, x, y):
    """Points at a place of the canvas, from 0 to 1."""
    canvas = browser.find_element("id", "picture")
    width, height = canvas.size["width"], canvas.size["height"]
    move = ActionChains(browser).move_to_element_with_offset(
        canvas, round((x - 0.5) * width), round((y - 0.5) * height)
    )
    move.perform()


def test_pointing_at_a_token_tells_all_about_it(shown, pixels):
    image = view(pixels, "qwen2.5-vl", scores=np.arange(150))
    browser = shown(image)
    row, column = 3, 7
    token = row * 15 + column
    point(browser, (column + 0.5) / 15, (row + 0.5) / 10)
    assert facts(browser) == {
        "number": f"{token} of 150",
        "row, column": "3, 7",
        "rows of patches": f"{4 * token} to {4 * token + 3}",
        "position ids": str(tuple(image.seen.positions[token].tolist())),
        "window": str(image.seen.windows[token]),
        "resized pixels": "(196, 84) to (224, 112)",
        "original pixels": "(196.0, 84.0) to (224.0, 112.0)",
        "score": str(round(token / 149, 3)),
    }


def test_the_keyboard_reaches_everything(shown, pixels):
    browser = shown(view(pixels, "qwen2.5-vl", [[0, 0, 9, 9]], scores=np.arange(150)))
    reached = []
    for _ in range(20):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.append(browser.switch_to.active_element.get_attribute("id"))
    everything = ["picture", "budget", "tokens", "patches", "windows", "scores", "boxes"]
    assert list(filter(None, reached))[:7] == everything
    canvas = browser.find_element("id", "picture")
    canvas.send_keys(Keys.END)
    assert facts(browser)["number"] == "14 of 150"
    canvas.send_keys(Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    assert facts(browser)["row, column"] == "1, 13"
    canvas.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.HOME)
    assert facts(browser)["row, column"] == "0, 0"


def test_the_slider_changes_the_budget(shown, pixels):
    image = view(pixels, "qwen2.5-vl")
    browser = shown(image)
    point(browser, 0.99, 0.99)
    assert facts(browser)["number"] == "149 of 150"
    browser.find_element("id", "budget").send_keys(Keys.HOME)
    rows, columns = image.smaller[0].tokens
    assert rows * columns <= 64
    text = browser.find_element("id", "budget-text").text
    assert text.startswith(f"{rows * columns} tokens, {columns} x {rows}; ")
    # What was pointed at is still the lower right corner.
    assert facts(browser)["number"] == f"{rows * columns - 1} of {rows * columns}"
    assert facts(browser)["original pixels"].endswith("to (420.0, 280.0)")


def test_layers_change_the_picture(shown, pixels):
    browser = shown(view(pixels, "qwen2.5-vl", [[50, 50, 90, 90]], scores=np.arange(150)))
    image = "return document.getElementById('picture').toDataURL()"
    for layer in ("tokens", "patches", "windows", "scores", "boxes"):
        before = browser.execute_script(image)
        browser.find_element("id", layer).click()
        assert browser.execute_script(image) != before, layer


def test_layers_that_an_image_lacks_are_not_offered(shown, pixels):
    browser = shown(view(pixels, "qwen3-vl"))
    shown_layers = [
        layer.get_attribute("id")
        for layer in browser.find_elements("css selector", "input[type=checkbox]")
        if layer.is_displayed()
    ]
    assert shown_layers == ["tokens", "patches"]
    assert not browser.find_element("id", "index").is_displayed()
    assert not browser.find_element("id", "places-set").is_displayed()


def test_boxes_are_drawn_where_the_arithmetic_says(shown):
    black = np.zeros((*SIZE, 3), np.uint8)
    browser = shown(view(black, "qwen3-vl", [[96, 64, 288, 192]]))
    browser.find_element("id", "tokens").click()
    seen = view(black, "qwen3-vl").seen
    height, width = seen.pixels.shape[:2]
    data = browser.execute_script(
        "const c = document.getElementById('picture');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    canvas = np.array(data, np.uint8).reshape(height, width, 4)
    rows, columns = np.nonzero((canvas[..., :3] == [0xF0, 0xE4, 0x42]).all(axis=-1))
    expected = boxes.convert(
        [[96, 64, 288, 192]], SIZE, "qwen3-vl", source="original", target="resized"
    )[0]
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(found - expected).max() <= 1.5


def test_no_request_leaves_the_page_and_nothing_goes_wrong(shown, pixels):
    browser = shown(view(pixels, "qwen2.5-vl", [[0, 0, 9, 9]]), view(pixels, "qwen3-vl"))
    browser.find_elements("css selector", "#index button")[1].click()
    point(browser, 0.5, 0.5)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert browser.get_log("browser") == []


def test_several_images_have_an_index(shown, pixels):
    browser = shown(view(pixels, "qwen2.5-vl"), view(pixels[:140], "qwen3-vl"))
    buttons = browser.find_elements("css selector", "#index button")
    assert [button.get_attribute("aria-current") for button in buttons] == ["true", "false"]
    buttons[1].click()
    assert browser.find_element("id", "name").text.endswith("(qwen3-vl)")
    assert buttons[1].get_attribute("aria-current") == "true"


def test_a_file_with_a_hostile_name_does_nothing(shown, tmp_path, pixels):
    path = tmp_path / "<img src=x onerror=document.title='hit'>.png"
    Image.fromarray(pixels).save(path)
    answer = (
        '{"bbox_2d": [0, 0, 9, 9], "label": "</script><script>document.title=\'hit\'</script>"}'
    )
    browser = shown(view(path, "qwen2.5-vl", answer))
    assert browser.title == "What the model sees"
    assert path.name in browser.find_element("id", "name").text
    assert "</script>" in browser.find_element("id", "places").text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_either_colour_scheme(shown, pixels, scheme):
    browser = shown(view(pixels, "qwen2.5-vl"))
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    colours = browser.execute_script(
        "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    )
    text, back = (
        np.array([int(level) for level in re.findall(r"\d+", colour)]) for colour in colours
    )
    assert np.abs(text.mean() - back.mean()) > 150
    assert (back.mean() < 128) == (scheme == "dark")
