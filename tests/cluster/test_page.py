"""The page of `textclf serve` in a real browser: types, reads, drops a file, hostile texts and labels.

With PICTURES=FOLDER in the environment, pictures of the page are left there.
"""

import base64
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, textclf
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from textclf.inference.model_folder import checksum

FROZEN = ROOT / "tests" / "frozen" / "format_4"
HOSTILE = ["<img src=x onerror=alert(1)>", '=HYPERLINK("http://x")', "</script><script>alert(2)</script>", "__proto__"]
REPORT = "<style>p { color: rgb(1, 2, 3) }</style><p id=styled>the report</p><script>document.title = 'run'</script>"
DROP = """
const data = new DataTransfer();
data.items.add(new File([new Uint8Array(arguments[1])], arguments[2]));
arguments[0].dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
"""


def run_of(model: Path, folder: Path) -> Path:
    """Make a run of a bare `model/` folder, with a report."""
    shutil.copytree(model, folder / "model")
    (folder / "report.html").write_text(REPORT, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two labels, several labels, and labels of a stranger."""
    folder = tmp_path_factory.mktemp("runs")
    made = [run_of(FROZEN / name, folder / name) for name in ("reviews", "topics")]
    hostile = run_of(FROZEN / "questions", folder / "<b>hostile&")
    document = json.loads((hostile / "model" / "model.json").read_text(encoding="utf-8"))
    document["labels"] = HOSTILE
    document["checksum"] = checksum(document)
    (hostile / "model" / "model.json").write_text(json.dumps(document), encoding="utf-8")
    return [*made, hostile]


@pytest.fixture(scope="module")
def url(runs: list[Path]) -> Iterator[str]:
    """A server of these runs."""
    options = [part for run in runs for part in ("--run", run)]
    command = [sys.executable, "-m", "textclf", "serve", *options, "--port", "0"]
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    match = re.search(r"http://[\d.:]+", process.stderr.readline())
    yield match[0]
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "stopped\n")


def start_browser(downloads: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chrome(downloads: Path) -> Iterator[webdriver.Chrome]:
    browser = start_browser(downloads)
    yield browser
    browser.quit()


@pytest.fixture
def page(chrome: webdriver.Chrome, url: str) -> Iterator[webdriver.Chrome]:
    """The page, in a window of its own size; nothing may be written to the console."""
    resize(chrome, 1200, 900)
    chrome.get(url)
    wait(chrome, lambda: chrome.title.startswith("reviews"))
    yield chrome
    assert [entry["message"] for entry in chrome.get_log("browser")] == []


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    """Give the page a size, which may be smaller than that of any window."""
    settings = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", settings)


def wait(browser: webdriver.Chrome, condition: Callable[[], object]) -> None:
    WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: condition())


def at(browser: webdriver.Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, name)


def picture(browser: webdriver.Chrome, name: str) -> None:
    if folder := os.environ.get("PICTURES"):
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def type_text(browser: webdriver.Chrome, text: str) -> None:
    """Type a text and wait for its label."""
    at(browser, "text").clear()
    at(browser, "text").send_keys(text)
    wait(browser, lambda: at(browser, "result").is_displayed() and "waiting" not in class_of(browser, "result"))


def class_of(browser: webdriver.Chrome, name: str) -> str:
    return at(browser, name).get_attribute("class") or ""


def choose(browser: webdriver.Chrome, number: int) -> None:
    Select(at(browser, "model")).select_by_index(number)


def drop(browser: webdriver.Chrome, name: str, content: bytes) -> None:
    browser.execute_script(DROP, at(browser, "drop"), [*content], name)


def bars(browser: webdriver.Chrome, parent: str = "bars") -> list[list[str]]:
    rows = at(browser, parent).find_elements(By.CLASS_NAME, "bar")
    return [[cell.text for cell in row.find_elements(By.TAG_NAME, "span")] for row in rows]


def press(browser: webdriver.Chrome, *keys: str) -> None:
    """Press keys, whatever has the focus."""
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def downloaded(browser: webdriver.Chrome, downloads: Path, name: str) -> str:
    at(browser, "download").click()
    wait(browser, (downloads / name).exists)
    return (downloads / name).read_text(encoding="utf-8")


TEXT = "The staff were friendly, but the battery of my phone is terrible."


def test_a_text_has_its_label_and_all_labels_as_bars(page: webdriver.Chrome) -> None:
    type_text(page, TEXT)
    lines = textclf("predict", "--run", FROZEN / "reviews", "--format", "jsonl", stdin=TEXT).stdout
    predicted = json.loads(lines)
    shown = f"{100 * predicted['probability']:.1f} %"
    assert (at(page, "label").text, at(page, "probability").text) == (predicted["label"], shown)
    ordered = sorted(predicted["probabilities"].items(), key=lambda item: -item[1])
    assert bars(page) == [[name, f"{100 * value:.1f} %"] for name, value in ordered]
    picture(page, "wide")


def test_words_are_coloured_in_the_text_as_it_was_typed(page: webdriver.Chrome) -> None:
    type_text(page, TEXT)
    at(page, "why").click()
    wait(page, at(page, "explanation").is_displayed)
    assert at(page, "words").find_element(By.TAG_NAME, "p").text == TEXT
    spans = at(page, "words").find_elements(By.CSS_SELECTOR, "span.for, span.against")
    assert [span.text for span in spans][:3] == ["The", "staff", "were"]
    assert {span.get_attribute("class").split()[0] for span in spans} == {"for", "against"}
    assert spans[0].value_of_css_property("background-color") != spans[1].value_of_css_property("background-color")
    picture(page, "explained")


def test_every_label_of_several_is_explained(page: webdriver.Chrome) -> None:
    choose(page, 1)
    type_text(page, "The room was cold and the waiter slow, the food cheap.")
    at(page, "why").click()
    wait(page, at(page, "explanation").is_displayed)
    labels = at(page, "label").text.split(", ")
    assert len(labels) > 1
    titles = [title.text for title in at(page, "words").find_elements(By.TAG_NAME, "h3")]
    assert titles == [f"For and against {label}" for label in labels]
    marked = [row.find_element(By.TAG_NAME, "span").text for row in page.find_elements(By.CSS_SELECTOR, ".predicted")]
    assert sorted(marked) == sorted(labels)
    picture(page, "several")


def test_hostile_texts_and_labels_are_shown_as_text(page: webdriver.Chrome) -> None:
    choose(page, 2)
    text = "<img src=x onerror=alert(3)><script>alert(4)</script> who? \u202e"
    type_text(page, text)
    at(page, "why").click()
    wait(page, at(page, "explanation").is_displayed)
    assert at(page, "label").text in HOSTILE
    assert sorted(name for name, _ in bars(page)) == sorted(HOSTILE)
    assert page.find_elements(By.CSS_SELECTOR, "main img, main script") == []
    assert page.title == "<b>hostile& - textclf"
    words = at(page, "words").find_element(By.TAG_NAME, "p").text
    assert words.startswith("alert ( 4 ) who ?")  # tags are dropped, so these are the words alone
    picture(page, "hostile")


TABLE = 'id;text;label\n1;"a fine; ""fine"" film";x\n2;dull and long;y\n\n3;;z\n4\n'


def test_a_dropped_table_is_labelled_and_given_back(page: webdriver.Chrome, downloads: Path) -> None:
    drop(page, "films.csv", b"\xef\xbb\xbf" + TABLE.encode())
    wait(page, at(page, "job").is_displayed)
    assert at(page, "what").text == "films.csv: 4 rows"
    assert Select(at(page, "column")).first_selected_option.text == "text"
    press(page, Keys.ENTER)  # on the button
    wait(page, at(page, "output").is_displayed)
    picture(page, "dropped")
    content = downloaded(page, downloads, "films-labelled.csv")
    header, *rows = csv.reader(content.removeprefix("\ufeff").splitlines(), delimiter=";")
    assert content.startswith("\ufeff")
    assert header == ["id", "text", "label", "predicted label", "probability"]
    texts = ['a fine; "fine" film', "dull and long", "", ""]
    assert [row[:3] for row in rows] == [
        [*kept] for kept in zip("1234", texts, ["x", "y", "z", ""], strict=True)
    ]  # fmt: skip
    lines = textclf("predict", "--run", FROZEN / "reviews", stdin="".join(f"{text}\n" for text in texts)).stdout
    assert ["\t".join(row[3:]) for row in rows] == lines.splitlines()
    assert at(page, "summary").text == "4 rows labelled."


def test_lines_are_labelled_in_chunks_and_formulas_are_escaped(page: webdriver.Chrome, downloads: Path) -> None:
    choose(page, 2)
    texts = [f"who is number {number}?" for number in range(1203)]
    drop(page, "lines.txt", "\n".join(texts).encode())
    wait(page, at(page, "job").is_displayed)
    assert not at(page, "column-choice").is_displayed()
    at(page, "start").click()
    wait(page, at(page, "output").is_displayed)
    rows = [*csv.reader(downloaded(page, downloads, "lines-labelled.csv").splitlines())]
    assert [row[0] for row in rows] == ["text", *texts]
    escaped = [f"'{label}" if label.startswith("=") else label for label in HOSTILE]
    assert {row[1] for row in rows[1:]} <= {*escaped}
    assert sum(int(count.replace(",", "")) for _, count in bars(page, "counts")) == 1203


REFUSED = {
    "no UTF-8": ("x.csv", b"text\n\xff\n", "x.csv is not UTF-8. Save it as UTF-8."),
    "an open quote": ("x.csv", b'text\n"a', "The file ends within a quoted cell: it is damaged, or no CSV."),
    "no rows": ("x.csv", b"text\n", "x.csv has no rows."),
    "an empty file": ("x.txt", b"", "x.txt has no rows."),
}


@pytest.mark.parametrize(("name", "content", "message"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_cannot_be_read_is_refused(
    page: webdriver.Chrome, name: str, content: bytes, message: str
) -> None:  # fmt: skip
    drop(page, name, content)
    wait(page, at(page, "problem").is_displayed)
    assert at(page, "problem").text == message


def test_too_long_a_text_is_refused_by_the_server_and_the_next_is_not(page: webdriver.Chrome) -> None:
    page.execute_script("arguments[0].value = 'a '.repeat(60000)", at(page, "text"))
    at(page, "text").send_keys("x")
    wait(page, at(page, "problem").is_displayed)
    assert at(page, "problem").text == "texts[0]: found 120,001; at most 100,000 characters of a text are read."
    type_text(page, "short")
    assert not at(page, "problem").is_displayed()
    page.get_log("browser")  # the browser writes each refusal there


def test_the_report_is_one_click_away_and_runs_no_script(page: webdriver.Chrome) -> None:
    at(page, "report").click()
    wait(page, lambda: len(page.window_handles) == 2)
    page.switch_to.window(page.window_handles[1])
    wait(page, lambda: page.find_elements(By.ID, "styled"))
    assert at(page, "styled").value_of_css_property("color") == "rgba(1, 2, 3, 1)"
    assert page.title != "run"
    page.get_log("browser")  # the refused script
    page.close()
    page.switch_to.window(page.window_handles[0])


def test_the_page_is_used_by_keyboard(page: webdriver.Chrome) -> None:
    order = []
    for _ in range(4):
        press(page, Keys.TAB)
        order.append(page.switch_to.active_element.get_attribute("id"))
    assert order == ["model", "report", "text", "file"]
    assert at(page, "drop").value_of_css_property("outline-style") == "solid"
    at(page, "text").click()
    press(page, "a fine film")
    wait(page, at(page, "why").is_displayed)
    press(page, Keys.TAB, Keys.ENTER)
    wait(page, at(page, "explanation").is_displayed)


@pytest.mark.parametrize("width", [400, 320])
def test_a_narrow_page_has_no_scroll_bar_across(page: webdriver.Chrome, width: int) -> None:
    resize(page, width, 800)
    choose(page, 2)
    type_text(page, f"{TEXT} {'long' * 60}")
    at(page, "why").click()
    wait(page, at(page, "explanation").is_displayed)
    drop(page, f"{'name' * 40}.csv", TABLE.encode())
    wait(page, at(page, "job").is_displayed)
    at(page, "start").click()
    wait(page, at(page, "output").is_displayed)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    picture(page, f"narrow-{width}")


def test_dark_and_light(page: webdriver.Chrome) -> None:
    colours = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        type_text(page, TEXT)
        at(page, "why").click()
        wait(page, at(page, "explanation").is_displayed)
        colours.append(page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"))
        picture(page, scheme)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert colours == ["rgba(255, 255, 255, 1)", "rgba(20, 24, 31, 1)"]


def test_a_token_is_asked_for_as_a_password(chrome: webdriver.Chrome, runs: list[Path]) -> None:
    token = "a-token-of-many-characters"
    command = [sys.executable, "-m", "textclf", "serve", "--run", str(runs[0]), "--port", "0"]
    environment = {**os.environ, "TEXTCLF_TOKEN": token}
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment)
    url = re.search(r"http://([\d.:]+)", process.stderr.readline())
    chrome.get(f"http://any:{token}@{url[1]}/icon.svg")
    chrome.get(url[0])
    type_text(chrome, "a fine film")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert at(chrome, "label").text == "positive"
