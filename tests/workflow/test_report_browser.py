"""The report in a real browser, without a network: pointed at, clicked, read."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ap3.stages.report import report

pytestmark = pytest.mark.slow

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if CHROMIUM is None:
    pytest.skip("Chromium is not installed (apt-get install chromium)", allow_module_level=True)
sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright


@pytest.fixture(scope="module")
def folder(mini, tmp_path_factory):
    """Study `mini` with a second network, of thrice the AP2 and half the PD, and one more figure."""
    folder = tmp_path_factory.mktemp("two") / "results" / "mini"
    done = mini.run("report")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(mini.folder / "results/mini", folder)
    for table in (folder / "tables").glob("*.csv"):
        rows = pd.read_csv(table)
        if "model" in rows:
            other = rows.assign(model="small_resnet")
            if table.name == "measures.csv":
                other["ap2"] *= 3
                other["test_pd_loss"] /= 2
            pd.concat([rows, other]).to_csv(table, index=False)
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    settings["networks"]["resnet"] = settings["networks"]["vgg"] | {"model": "small_resnet"}
    settings["figures"] = ["fig01", "fig03", "fig07"]
    shutil.copy(folder / "figures/fig03.png", folder / "figures/fig07.png")
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    report(folder, folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def measures(folder):
    return pd.read_csv(folder / "tables" / "measures.csv")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, folder):
    """The page, opened without a network; whatever it complains of or asks for fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(180_000)  # a busy machine is no failure
    opened = context.new_page()
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type != "info" else None)
    opened.on("request", lambda asked: wrong.append(asked.url) if is_foreign(asked.url) else None)
    opened.goto((folder / "report.html").as_uri())
    opened.wait_for_selector("html[data-ready=yes]")
    yield opened
    context.close()
    assert wrong == []


def is_foreign(url):
    return not url.startswith(("file:", "data:", "blob:"))


def choose(page, **choices):
    for name, value in choices.items():
        page.select_option(f"#explorer-controls [name=chosen_{name}]", label=value)


def move_to_epoch(page, epoch):
    page.locator("#explorer-controls [name=chosen_epoch]").fill(str(epoch))


def points(page):
    """Return the points of the scatter plot, by what a screen reader is told of each."""
    return page.locator("#explorer svg .mark-symbol.role-mark [aria-label*='variant']")


def titles(page):
    return page.locator("#explorer svg .role-title-text").all_text_contents()


def read(page, variant):
    """Point at a variant of the scatter plot and return what is shown, by name."""
    page.locator("#explorer").scroll_into_view_if_needed()
    mark = (
        points(page).filter(visible=True).and_(page.locator(f"[aria-label*='variant: {variant};']"))
    )
    mark.first.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    keys = tooltip.locator("td.key").all_text_contents()
    return dict(zip(keys, tooltip.locator("td.value").all_text_contents(), strict=True))


def expected(measures, model, mode, ratio, epoch, column):
    chosen = (measures["model"] == model) & (measures["mode"] == mode)
    chosen &= (measures["ratio"] == ratio) & (measures["epoch"] == epoch)
    return measures[chosen][column].mean()


def test_pointing_reads_the_values_of_the_table(page, measures):
    choose(page, pd="loss (nats)")
    shown = read(page, "highest 0.8")
    place = ("small_vgg", "highest", 0.8, 2)
    assert float(shown["metric"]) == pytest.approx(expected(measures, *place, "ap2"), rel=1e-3)
    assert float(shown["PD"]) == pytest.approx(expected(measures, *place, "test_pd_loss"), rel=1e-3)
    assert shown["PD of trials"].endswith("n = 2")


def test_model_metric_split_and_trial_can_be_chosen(page, measures):
    choose(
        page, model="small ResNet", metric="AP2", split="test", pd="loss (nats)", trial="trial 2"
    )
    mine = measures[measures["trial"] == 2]
    shown = read(page, "lowest 0.8")
    place = ("small_resnet", "lowest", 0.8, 2)
    assert float(shown["metric"]) == pytest.approx(expected(mine, *place, "ap2"), rel=1e-3)
    assert float(shown["PD"]) == pytest.approx(expected(mine, *place, "test_pd_loss"), rel=1e-3)
    assert shown["PD of trials"] == "one trial"
    choose(page, metric="AP3 Student-t", split="training", trial="mean of all")
    shown = read(page, "lowest 0.8")
    column = expected(measures, *place, "ap3_student_t")
    assert float(shown["metric"]) == pytest.approx(column, rel=1e-3)
    assert "PD, training loss (nats) against AP3 Student-t, epoch 2" in titles(page)


def test_the_epoch_slides(page, measures):
    choose(page, pd="loss (nats)")
    move_to_epoch(page, 0)
    assert "PD, test loss (nats) against AP2, epoch 0" in titles(page)
    shown = read(page, "highest 0.3")
    assert shown["epoch"] == "0"
    wanted = expected(measures, "small_vgg", "highest", 0.3, 0, "ap2")
    assert float(shown["metric"]) == pytest.approx(wanted, rel=1e-3)


def test_a_mode_clicked_in_the_legend_is_seen_alone(page):
    def faint():
        opacities = [mark.get_attribute("opacity") for mark in points(page).all()]
        return sum(float(opacity or 1) < 0.2 for opacity in opacities)

    assert faint() == 0
    page.locator("#explorer svg .role-legend-symbol path").first.click()
    assert faint() > 0


def test_figures_are_chosen_by_label_and_enlarged(page):
    figures = page.locator("#figures figure")
    assert figures.count() == page.locator("#figures figure:visible").count() == 5
    page.select_option("#figures select[data-label=metric]", label="AP3 (Student-t law)")
    assert page.locator("#figures figure:visible h3 span").all_text_contents() == ["fig07"]
    page.locator("#fig07 .picture").click()
    assert page.locator("dialog#large").is_visible()
    assert page.locator("dialog img").evaluate("image => image.naturalWidth") > 1000
    page.keyboard.press("Escape")
    assert page.locator("dialog#large").is_hidden()


def column(page, sheet, heading):
    index = page.locator(f"#{sheet} th").all_text_contents().index(heading)
    rows = page.locator(f"#{sheet} tbody tr:not([hidden])").all()
    return [row.locator("td").nth(index).text_content() for row in rows]


def test_a_table_is_sorted_by_its_headings(page):
    page.select_option("#bounds_summary select >> nth=0", label="all")
    heading = page.locator("#bounds_summary th", has_text="median")
    for direction, reverse in (("ascending", False), ("descending", True)):
        heading.click()
        assert heading.get_attribute("aria-sort") == direction
        values = [number(cell) for cell in column(page, "bounds_summary", "median")]
        assert len(set(values)) > 3
        assert values == sorted(values, reverse=reverse)


def number(cell):
    return float("inf") if cell == "∞" else float(cell.replace(",", ""))


def test_a_table_is_filtered_by_menus_and_words(page):
    rows = page.locator("#agreement_summary tbody tr:not([hidden])")
    before = rows.count()
    page.fill("#agreement_summary input[type=search]", "student")
    assert 0 < rows.count() < before
    assert set(column(page, "agreement_summary", "measure")) == {"AP3 Student-t"}
    said = page.locator("#agreement_summary output").text_content()
    assert said.startswith(f"{rows.count()} of ")
    page.fill("#agreement_summary input[type=search]", "")
    page.select_option("#agreement_summary select[data-first='test loss']", label="all")
    assert rows.count() > before


def test_the_page_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_screenshots_are_kept(page, tmp_path):
    for section in ("glance", "explore", "figures", "tables", "stages", "conditions"):
        path = Path(tmp_path / f"{section}.png")
        page.locator(f"#{section}").screenshot(path=path)
        assert path.stat().st_size > 10_000
