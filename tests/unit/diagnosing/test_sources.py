"""The commands, on data and networks as they are typed."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torch.nn.utils import prune

from ap3.diagnosing.sources import Data, ImageFolder, Look, channels_of, network_called
from ap3.errors import InvalidTypeError, InvalidValueError, MissingFileError, UserError
from ap3.models.preprocessing import View
from ap3.stages.allocate import allocate
from ap3.stages.explain import explain
from ap3.stages.scan import scan

CODE = """
import torch
from torch import nn


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def sized(classes, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, classes))


def no_network():
    return "resnet18"


def batches():
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        yield torch.randn(8, 1, 8, 8, generator=generator), torch.randint(3, (8,), generator=generator)


def from_one():
    return [(torch.randn(8, 1, 8, 8), torch.tensor([1, 2, 3, 1, 2, 3, 1, 2]))]


def as_lists():
    return [([[[0.0]]], [0])]


def broken():
    return [1, 2][5]


def breaks_later():
    yield torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])
    raise KeyError("labels")


def nothing():
    return None


def certain():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1))


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))


class Two(nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1)), images


def in_two():
    return Two(64, 3)
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    (tmp_path / "my_code.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_code", raising=False)
    return tmp_path


@pytest.fixture
def pair(own):
    torch.manual_seed(0)
    network = network_called("my_code:network", None, 3, 8)
    torch.save(network.state_dict(), own / "baseline.pt")
    prune.l1_unstructured(network[0], "weight", 0.5)
    torch.save(network.state_dict(), own / "pruned.pt")
    return str(own / "baseline.pt"), str(own / "pruned.pt")


def test_the_three_commands(pair, own, capsys):
    given = "my_code:network", pair[0]
    explain(*given, pair[1], "my_code:batches", csv=own / "e.csv", html=own / "e.html")
    assert "pruning" in capsys.readouterr().out
    assert pd.read_csv(own / "e.csv")["layer"].tolist() == ["0", "network"]
    scan(
        *given,
        "my_code:batches",
        ratio=["0.5,0.9"],
        csv=own / "s.csv",
        html=own / "s.html",
        figure=own / "s.png",
    )
    assert len(pd.read_csv(own / "s.csv")) == 4
    allocate(
        *given,
        "my_code:batches",
        0.3,
        out=own / "a.safetensors",
        ratios=own / "a.json",
        calls=own / "a.py",
        html=own / "a.html",
        csv=own / "a.csv",
    )
    assert set(json.loads((own / "a.json").read_text(encoding="utf-8"))) == {"0", "3"}
    assert "prune.l1_unstructured(" in (own / "a.py").read_text(encoding="utf-8")
    capsys.readouterr()
    explain(*given, str(own / "a.safetensors"), "my_code:batches")
    assert "network" in capsys.readouterr().out
    for name in "esa":
        page = (own / f"{name}.html").read_text("utf-8")
        assert "http" not in page
        assert "What to do" in page
        assert "<svg" in page


WRONG = {
    "from_one": r"my_code:from_one \(my_code.py, line 24\): the labels must be 0 to 2.*from 0",
    "as_lists": r"my_code:as_lists \(my_code.py, line 28\): the input of batch 1 must be a tensor",
    "broken": r"my_code:broken failed at my_code.py, line 33: IndexError",
    "breaks_later": r"my_code:breaks_later failed at my_code.py, line 38: KeyError: 'labels'",
    "nothing": r"my_code:nothing \(my_code.py, line 41\) returned NoneType",
    "missing": "my_code:missing failed: AttributeError",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_own_data_names_file_and_line(name, pair):
    with pytest.raises(UserError, match=WRONG[name]) as caught:
        scan("my_code:network", pair[0], f"my_code:{name}")
    assert "\n" not in str(caught.value)
    assert "fetch" not in str(caught.value)


def test_another_mistake_is_not_put_down_to_the_data(pair):
    mistakes = {
        "the budget is 20": lambda *given: allocate(*given, 20),
        "nope.pt": lambda *given: explain(*given[:2], "nope.pt", given[2]),
        "1.5": lambda *given: scan(*given, ratio=["1.5"]),
    }
    for told, command in mistakes.items():
        with pytest.raises(UserError, match=told) as caught:
            command("my_code:network", pair[0], "my_code:batches")
        assert "my_code" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [("certain", "returns probabilities"), ("in_two", "a tuple of 2"), ("flat", r"shape \(8,\)")],
)
def test_what_a_network_puts_out_is_not_put_down_to_the_data(name, told):
    with pytest.raises(UserError, match=told) as caught:
        scan(f"my_code:{name}", "-", "my_code:batches")
    assert "my_code" not in str(caught.value)


def test_a_wrong_option_is_refused_before_the_data_are_asked_for(pair):
    given = "my_code:network", pair[0], "my_code:broken"
    with pytest.raises(UserError, match="the budget is 0"):
        allocate(*given, 0)
    with pytest.raises(UserError, match="of is 'flop'"):
        allocate(*given, 0.5, of="flop")
    with pytest.raises(
        UserError, match=r"--ratio must be numbers such as 0.5 or 0.3,0.5, but is '0.5,'"
    ):
        scan(*given, ratio=["0.5,"])
    with pytest.raises(UserError, match=r"--ratios is the .json file .* but is '0.3,0.5'"):
        allocate(*given, 0.5, ratios=Path("0.3,0.5"))
    with pytest.raises(UserError, match=r"must end in .pdf, .png or .svg"):
        scan(*given, figure=Path("curves.xyz"))
    with pytest.raises(UserError, match=r"--html is 'page.pdf', but must end in .html"):
        scan(*given, html=Path("page.pdf"))
    with pytest.raises(UserError, match=r"--out is 'pruned.pt', but must end in .safetensors"):
        allocate(*given, 0.5, out=Path("pruned.pt"))
    with pytest.raises(UserError, match=r"is 'unifrom', .* did you mean 'uniform'"):
        allocate(*given, 0.5, way="unifrom")


def test_layers_and_ratios_are_listed_with_commas_or_given_repeatedly(pair, own):
    tables = []
    for layer, ratio in ((["0,3"], ["0.3,0.5"]), (["0", "3"], ["0.3", "0.5"])):
        scan(
            "my_code:network",
            pair[0],
            "my_code:batches",
            ratio=ratio,
            layer=layer,
            csv=own / "scan.csv",
        )
        tables.append((own / "scan.csv").read_text(encoding="utf-8"))
    assert tables[0] == tables[1]
    assert tables[0].count("\n") == 1 + 2 * 2


def test_auto_is_the_card_if_there_is_one_and_else_the_cpu(pair, own, monkeypatch):
    given = "my_code:network", pair[0], "my_code:batches"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    scan(*given, ratio=["0.3"], csv=own / "scan.csv", device="auto")
    assert (own / "scan.csv").exists()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    moved = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda model, where: moved.append(where))
    scan(*given, ratio=["0.3"], csv=own / "scan.csv", device="auto")
    assert moved == ["cuda"]


@pytest.mark.parametrize("option", ["mean", "std"])
def test_means_and_deviations_are_of_all_channels_or_of_each(pair, option):
    given = "my_code:network", pair[0], "my_code:batches"
    with pytest.raises(UserError, match=rf"--{option} takes one number, or one for each of 3 chan"):
        scan(*given, **{option: ["0.5,0.5"]})
    with pytest.raises(UserError, match=rf"--{option} must be numbers"):
        scan(*given, **{option: ["half"]})


@pytest.mark.parametrize(
    ("name", "start"), [("c.pdf", b"%PDF"), ("c.PNG", b"\x89PNG"), ("c.svg", b"<?xml")]
)
def test_curves_are_written_in_the_format_of_their_name(pair, own, name, start):
    scan("my_code:network", pair[0], "my_code:batches", ratio=["0.5"], figure=own / name)
    assert (own / name).read_bytes().startswith(start)


def test_curves_that_fail_leave_the_old_ones(pair, own, monkeypatch):
    def full(figure: Figure, place: Any, **options: Any) -> None:
        write = place.write_bytes if isinstance(place, Path) else place.write
        write(b"half")
        raise OSError("No space left on device")

    (own / "c.png").write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space"):
        scan("my_code:network", pair[0], "my_code:batches", ratio=["0.5"], figure=own / "c.png")
    assert (own / "c.png").read_bytes() == b"old"


def test_networks_by_name():
    assert network_called("my_code:sized", None, 4, 8)[1].weight.shape == (4, 192)
    assert network_called("resnet18", None, 7, 32).fc.out_features == 7
    with pytest.raises(InvalidTypeError, match=r"no_network \(my_code.py, line 14\) returned str"):
        network_called("my_code:no_network", None, 4, 8)
    with pytest.raises(InvalidValueError, match="cannot be imported"):
        network_called("no_such_code:network", None, 4, 8)


def test_a_checkpoint_of_another_network(pair):
    with pytest.raises(UserError, match="lacks"):
        network_called("resnet18", pair[0], 3, 32)


def pictures(folder, sizes=((10, 8), (8, 8))):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number, size in enumerate(sizes):
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "cat" / "notes.txt").write_text("no image", encoding="utf-8")


def test_a_folder_of_images(tmp_path):
    pictures(tmp_path / "val")
    data = Data(f"folder:{tmp_path / 'val'}")
    assert data.classes == 2
    look = Look(8, (0.5,), (0.25,), 3, 3)
    batches = data.batches(look)
    assert len(batches) == 2
    for _ in range(2):
        pixels, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        assert pixels.shape == (4, 3, 8, 8)
        assert labels.tolist() == [0, 0, 1, 1]
    original = np.array(Image.open(tmp_path / "val/dog/1.png")).transpose(2, 0, 1)
    torch.testing.assert_close(
        pixels[3], (torch.from_numpy(original.copy()) / 255 - 0.5) / 0.25, rtol=0, atol=1e-6
    )
    assert len(ImageFolder(tmp_path / "val", look, examples=3).files) == 3


def test_folders_that_hold_none(tmp_path):
    look = Look(8, (0.5,), (0.25,))
    with pytest.raises(MissingFileError, match="is no folder"):
        ImageFolder(tmp_path / "none", look)
    with pytest.raises(InvalidValueError, match="holds no images in folders"):
        ImageFolder(tmp_path, look)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InvalidValueError, match=r"1\.png cannot be read as an image"):
        list(ImageFolder(tmp_path, look))


def test_a_data_set_of_ours_is_seen_as_training_sees_it():
    data = Data("digits")
    view = View(16)
    [(pixels, labels)] = data.batches(Look(16, view.mean, view.std, 3, 400))
    images, expected = data.images.splits["test"]
    torch.testing.assert_close(pixels, view.still(torch.from_numpy(images)), rtol=0, atol=1e-5)
    assert labels.tolist() == expected.tolist()
    [(grey, _)] = data.batches(Look(16, view.mean, view.std, 1, 400))
    assert grey.shape[1] == 1
    assert sum(len(y) for _, y in data.batches(Look(8, (0.5,), (0.5,)), 50)) == 50
    with pytest.raises(InvalidValueError, match="must be test or train"):
        Data("digits", split="validation")


def test_a_network_of_one_channel():
    assert channels_of(nn.Sequential(nn.Conv2d(1, 2, 3))) == 1
