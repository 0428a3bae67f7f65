"""The stage that draws a figure: files in, a PDF and a PNG out."""

import os
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest
import typer
from figure_measures import NETWORKS, SLOTS, THREE, measures
from typer.testing import CliRunner

from ap3.errors import UserError
from ap3.figures import Roles
from ap3.stages.figure import figure

NETWORK = [f"{role}={name}" for role, name in NETWORKS.items()]
DATA = [f"{role}={name}" for role, name in THREE.data.items()]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """One CSV file per (data set, model, trial), as a study leaves them."""
    folder = tmp_path_factory.mktemp("measures")
    paths = []
    for (dataset, model, trial), table in measures(THREE).groupby(["dataset", "model", "trial"]):
        paths.append(folder / f"{dataset}-{model}-{trial}.csv")
        table.to_csv(paths[-1], index=False)
    return paths


def fonts(page):
    """Return each font of a page: its type, its descendant's type, whether a file is embedded."""
    for font in page["/Resources"]["/Font"].values():
        descendant = font.get_object()["/DescendantFonts"][0].get_object()
        embedded = "/FontFile2" in descendant["/FontDescriptor"].get_object()
        yield font.get_object()["/Subtype"], descendant["/Subtype"], embedded


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fig01", ["latent space", "flatten"]),
        ("fig02", ["small ResNet on CIFAR10", "small ResNet on CIFAR100", "ratio 0.3", "epoch"]),
        ("fig07", ["small VGG on CIFAR10", "ratio 0.8", "highest", "Student-t"]),
    ],
)
def test_a_figure_is_one_page_with_its_fonts_embedded_as_truetype(name, text, tables, tmp_path):
    pdf, png = tmp_path / "a" / "figure.pdf", tmp_path / "b" / "figure.png"
    figure(name, pdf, tables, NETWORK, DATA, png)
    (page,) = pypdf.PdfReader(pdf).pages
    assert page.mediabox.width == pytest.approx(7.16 * 72)
    assert set(fonts(page)) == {("/Type0", "/CIDFontType2", True)}
    shown = page.extract_text()
    for piece in text:
        assert piece in shown
    assert png.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in pdf.parent.iterdir()] == ["figure.pdf"]


def test_the_same_measures_give_the_same_bytes_whatever_the_users_settings(tables, tmp_path):
    """A second process, with other hashes and a matplotlibrc of its own, and tables shuffled."""
    rc = tmp_path / "matplotlibrc"
    rc.write_text(
        "font.size: 20\nlines.linewidth: 5\npdf.fonttype: 3\nfigure.dpi: 50\n", encoding="utf-8"
    )
    here, there = [tmp_path / f"{place}.pdf" for place in ("here", "there")]
    figure("fig12", here, tables, NETWORK, DATA, here.with_suffix(".png"))
    call = [[str(path) for path in reversed(tables)], NETWORK, DATA]
    code = (
        "from pathlib import Path; from ap3.stages.figure import figure;"
        f"tables, network, data = {call!r};"
        f"pdf = Path({str(there)!r});"
        "figure('fig12', pdf, [Path(t) for t in tables], network, data, pdf.with_suffix('.png'))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345", "MATPLOTLIBRC": str(rc)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert here.read_bytes() == there.read_bytes()
    assert here.with_suffix(".png").read_bytes() == there.with_suffix(".png").read_bytes()


def test_the_command_takes_changes_of_the_description(tables, tmp_path):
    app = typer.Typer()
    app.command()(figure)
    options = [f"--network={entry}" for entry in NETWORK] + [f"--data={entry}" for entry in DATA]
    changes = ["--set", "width=3.5", "--set", "ratios=[0.1, 0.8]"]
    pdf = tmp_path / "narrow.pdf"
    command = ["fig06", *map(str, tables), *options, *changes, "--pdf", str(pdf)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    (page,) = pypdf.PdfReader(pdf).pages
    assert page.mediabox.width == pytest.approx(3.5 * 72)
    assert "ratio 0.8" in page.extract_text()
    assert "ratio 0.3" not in page.extract_text()


def test_a_role_that_is_not_mapped_is_refused_by_name(tables, tmp_path):
    with pytest.raises(UserError, match="'large_images'"):
        figure("fig06", tmp_path / "a.pdf", tables, NETWORK, DATA[:2])


def test_the_only_network_of_the_tables_need_not_be_named(tmp_path):
    table = tmp_path / "measures.csv"
    measures(Roles({"vgg": "mine"}, {"ten_classes": "photos"})).to_csv(table, index=False)
    figure("fig05", tmp_path / "a.pdf", [table])
    (page,) = pypdf.PdfReader(tmp_path / "a.pdf").pages
    assert "mine on photos" in page.extract_text()


def test_a_bare_name_plays_every_role_and_sizes_and_columns_can_be_chosen(tables, tmp_path):
    pdf = tmp_path / "a.pdf"
    chosen = {"width": 4.0, "height": 0.9, "metric": ["ap3_gaussian"], "split": ["train"]}
    figure("fig12", pdf, tables, ["small_vit"], ["cifar100"], mode=["random"], **chosen)
    (page,) = pypdf.PdfReader(pdf).pages
    shown = page.extract_text()
    for words in ("small ViT on CIFAR100", "Gaussian law", "PD train", "random"):
        assert words in shown
    for words in ("PD test", "highest"):
        assert words not in shown
    assert page.mediabox.width == pytest.approx(4 * 72)
    tall = tmp_path / "tall.pdf"
    figure(
        "fig12",
        tall,
        tables,
        ["small_vit"],
        ["cifar100"],
        mode=["random"],
        **chosen | {"height": 1.9},
    )
    more = pypdf.PdfReader(tall).pages[0].mediabox.height - page.mediabox.height
    assert more % 72 == pytest.approx(0, abs=0.1)  # an inch for each line of panels
    assert more >= 72


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"measures": []}, "found none"),
        ({"network": ["vit="]}, "ROLE=NAME"),
        ({"network": ["a", "b"]}, "every role is given twice"),
        ({"change": ["width"]}, "KEY=VALUE"),
        ({"change": ["width=["]}, "width"),
        ({"change": ["widht=3"]}, "did you mean 'width'"),
        ({"png": Path("a.jpg")}, "--png is 'a.jpg', but must end in .png"),
        ({"mode": ["higest"]}, "did you mean 'highest'"),
        ({"ratio": ["0.4"]}, "is to draw the ratio 0.4, but the measures hold 0.0, "),
        ({"ratio": ["half"]}, "--ratio must be numbers such as 0.5"),
        ({"metric": ["ap2,ap3_fisher"]}, "but must hold at most 1"),
        (
            {"metric": ["ap4"]},
            "'ap4', and the measures have none of that name; give the tables",
        ),
    ],
)
def test_mistakes_are_answered_in_one_sentence(arguments, words, tables, tmp_path):
    call = {"measures": tables, "network": NETWORK, "data": DATA} | arguments
    with pytest.raises(UserError) as refused:
        figure("fig06", tmp_path / "a.pdf", **call)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, "", b"\xff\xfe\x00", 'a,b\n1,2,3\n4,5,6,7\n"'])
def test_a_file_that_is_no_table_is_refused_by_name(content, tmp_path):
    path = tmp_path / "measures.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"measures\.csv|column"):
        figure("fig06", tmp_path / "a.pdf", [path], NETWORK, DATA)


def test_slots_of_the_fixture_are_those_of_the_paper():
    assert tuple(THREE.data) == SLOTS


@pytest.mark.parametrize(("size", "inches"), [("page", 7.16), ("column", 3.5), ("slide", 5.6)])
def test_a_figure_has_the_size_that_is_asked_for(tables, tmp_path, size, inches):
    pdf = tmp_path / "figure.pdf"
    figure("fig03", pdf, tables, network=NETWORK, data=DATA, size=size)
    assert float(pypdf.PdfReader(pdf).pages[0].mediabox.width) / 72 == pytest.approx(
        inches, abs=0.01
    )


def test_another_size_is_refused(tables, tmp_path):
    with pytest.raises(UserError, match="one of page, column, slide"):
        figure("fig03", tmp_path / "figure.pdf", tables, network=NETWORK, data=DATA, size="poster")
