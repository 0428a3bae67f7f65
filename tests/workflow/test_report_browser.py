"""The report in a real browser, without a network: pointed at, clicked, read."""

import io
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


@pytest.fixture(scope="module")
def opened(browser, folder):
    """Opens the page without a network; whatever it complains of or asks for fails the test."""
    contexts, wrong = [], []

    def open_page(width=1280, scheme="light", address=""):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, color_scheme=scheme
        )
        context.set_default_timeout(180_000)  # a busy machine is no failure
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type != "info" else None)
        page.on("request", lambda asked: wrong.append(asked.url) if is_foreign(asked.url) else None)
        page.goto((folder / "report.html").as_uri() + address)
        page.wait_for_selector("html[data-ready=yes]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def page(opened):
    return opened()


def is_foreign(url):
    return not url.startswith(("file:", "data:", "blob:"))


def choose(page, **choices):
    """Choose entries of the menus by their labels, and wait until the charts are drawn."""
    for name, label in choices.items():
        before = page.locator("#explorer").get_attribute("data-turn")
        select = page.locator(f"#explorer-controls [name={name}]")
        if select.locator("option:checked").text_content() != label:
            select.select_option(label=label)
            page.wait_for_function(
                "turn => document.getElementById('explorer').dataset.turn !== turn", arg=before
            )


def move_to_epoch(page, epoch):
    before = page.locator("#explorer").get_attribute("data-turn")
    page.locator("#explorer-controls [name=epoch]").fill(str(epoch))
    page.wait_for_function(
        "turn => document.getElementById('explorer').dataset.turn !== turn", arg=before
    )


def titles(page, chart="scatter"):
    words = ".role-axis-title text, .role-title-text text"
    return page.locator(f"#chart-{chart} svg").locator(words).all_text_contents()


def read(page, variant):
    """Point at a variant of the scatter plot and return what is shown, by name."""
    mark = page.locator(f"#chart-scatter svg [aria-label*='variant: {variant};']")
    mark.first.scroll_into_view_if_needed()
    mark.first.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    keys = tooltip.locator("td.key").all_text_contents()
    return dict(zip(keys, tooltip.locator("td.value").all_text_contents(), strict=True))


def expected(measures, model, mode, ratio, epoch, column):
    chosen = (measures["model"] == model) & (measures["mode"] == mode)
    chosen &= (measures["ratio"] == ratio) & (measures["epoch"] == epoch)
    return measures[chosen][column].mean()


def test_it_opens_on_the_test_loss(page):
    assert titles(page) == ["AP2", "PD, test loss (nats)", "Epoch 2"]


def test_pointing_reads_the_values_of_the_table(page, measures):
    shown = read(page, "highest 0.8")
    place = ("small_vgg", "highest", 0.8, 2)
    assert float(shown["AP2"]) == pytest.approx(expected(measures, *place, "ap2"), rel=1e-3)
    assert float(shown["PD"]) == pytest.approx(expected(measures, *place, "test_pd_loss"), rel=1e-3)
    assert shown["PD of trials"].endswith("n = 2")


def test_what_is_pointed_at_stands_out_in_every_chart(page):
    read(page, "lowest 0.8")
    faint = "mark => Number(mark.getAttribute('opacity')) < 0.2"
    for chart in ("scatter", "metric", "pd"):
        marks = page.locator(f"#chart-{chart} svg [aria-label*='variant:']")
        page.wait_for_function(
            f"chart => [...document.querySelectorAll(`#chart-${{chart}} svg [aria-label*='variant:']`)]"
            f".some({faint})",
            arg=chart,
        )
        strong = [
            mark.get_attribute("aria-label")
            for mark in marks.all()
            if not mark.evaluate(f"({faint})")
        ]
        assert strong
        assert all("variant: lowest 0.8" in label for label in strong)
    page.mouse.move(2, 2)


def test_everything_can_be_chosen(page, measures):
    choose(page, model="small ResNet", trial="trial 2", metric="AP3 Student-t", split="training")
    mine = measures[measures["trial"] == 2]
    shown = read(page, "lowest 0.8")
    place = ("small_resnet", "lowest", 0.8, 2)
    column = expected(mine, *place, "ap3_student_t")
    assert float(shown["AP3 Student-t"]) == pytest.approx(column, rel=1e-3)
    assert shown["PD of trials"] == "one trial"
    assert titles(page)[1] == "PD, training loss (nats)"
    move_to_epoch(page, 0)
    assert titles(page)[-1] == "Epoch 0"
    move_to_epoch(page, 2)
    choose(page, model="small VGG", trial="mean of 2", metric="AP2", split="test")


def test_the_pd_is_signed_and_from_the_control(page, measures):
    choose(page, reference="the control", sign="signed: + is worse")
    assert titles(page)[:2] == [
        "AP2 from the control",
        "signed PD, test loss (nats) from the control",
    ]
    place = ("small_vgg", "lowest", 0.3, 2)
    signed = expected(measures, *place, "test_pd_loss_signed")
    drift = expected(measures, "small_vgg", "control", 0, 2, "test_pd_loss_signed")
    shown = read(page, "lowest 0.3")
    assert float(shown["PD"].replace("−", "-")) == pytest.approx(signed - drift, abs=1e-5)
    choose(page, reference="the baseline", sign="absolute")


def test_the_agreement_is_that_of_the_table(page, folder):
    table = pd.read_csv(folder / "tables/agreement.csv")
    chosen = table[
        (table["model"] == "small_vgg")
        & (table["reference"] == "baseline")
        & (table["pd"] == "test_pd_loss")
        & (table["among"] == "all")
        & (table["measure"] == "ap2")
    ]
    for epoch in (0, 2):
        move_to_epoch(page, epoch)
        share = chosen[chosen["epoch"] == epoch]["agreement"].mean()
        said = page.locator("#agreement-said").text_content()
        assert said.startswith(f"AP2 orders {100 * share:.0f} % of the pairs as the PD does")
        assert "chance 50 %" in said
        at = chosen[chosen["epoch"] == epoch]["decided"]
        counts = " to ".join(dict.fromkeys(f"{end:.0f}" for end in (at.min(), at.max())))
        assert said.endswith(f"The examples tell apart {counts} pairs of each trial.")


def test_a_mode_is_seen_alone_and_the_address_says_so(page, opened):
    page.locator("#legend [data-key='mode:lowest']").click()
    choose(page, pd="accuracy", metric="AP3 Gaussian")
    address = page.evaluate("location.hash")
    other = opened(address=address)
    assert other.locator("#legend [aria-pressed=true]").all_text_contents() == ["lowest"]
    assert (
        titles(other) == titles(page) == ["AP3 Gaussian", "PD, test accuracy (% points)", "Epoch 2"]
    )
    faint = other.locator("#chart-scatter svg [aria-label*='variant: highest 0.8;']")
    assert float(faint.first.get_attribute("opacity")) < 0.2
    page.locator("#legend [data-key='mode:lowest']").click()
    choose(page, pd="loss", metric="AP2")


EVERY_ENTRY = Path(__file__).with_name("every_entry.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_mark_or_word_leaves_its_frame(opened, width, scheme):
    page = opened(width, scheme)
    tried, outside = page.evaluate(EVERY_ENTRY)
    assert tried > 20
    assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(opened, scheme):
    page = opened(1280, scheme)
    ink, ground = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    bright = [sum(map(int, text[4:-1].split(","))) / 3 for text in (ink, ground)]
    assert (bright[0] > bright[1]) is (scheme == "dark")
    assert abs(bright[0] - bright[1]) > 150


def saved(page, button):
    with page.expect_download() as download:
        page.locator(button).click()
    path = download.value.path()
    return download.value.suggested_filename, path.read_text(encoding="utf-8")


def test_a_chart_is_saved_as_svg(page):
    name, text = saved(page, "[data-chart=scatter]")
    assert name == "small_vgg-ap2-scatter.svg"
    assert text.startswith("<svg")
    assert "PD, test loss" in text


def test_a_table_is_saved_as_csv(page, folder):
    page.fill("#agreement_summary input[type=search]", "student")
    name, text = saved(page, "#agreement_summary [data-csv]")
    page.fill("#agreement_summary input[type=search]", "")
    assert name == "agreement_summary.csv"
    rows = pd.read_csv(io.StringIO(text))
    assert set(rows["measure"]) == {"ap3_student_t"}
    whole = pd.read_csv(folder / "tables/agreement_summary.csv")
    keys = ["dataset", "model", "epoch", "reference", "pd", "among", "measure"]
    joined = rows.merge(whole[whole["statistic"] == "agreement"], on=keys, suffixes=("", "_table"))
    assert len(joined) == len(rows)
    pd.testing.assert_series_equal(joined["mean"], joined["mean_table"], check_names=False)


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


def test_screenshots_are_kept(page, tmp_path):
    for section in ("glance", "explore", "figures", "tables", "stages", "conditions"):
        path = Path(tmp_path / f"{section}.png")
        page.locator(f"#{section}").screenshot(path=path)
        assert path.stat().st_size > 10_000
