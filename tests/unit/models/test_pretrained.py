import hashlib
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from local_server import BUSY, CUT, serve
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.models import Weights, WeightsEnum
from torchvision.transforms._presets import ImageClassification

from ap3.datasets.raw import download
from ap3.errors import UserError
from ap3.models import published
from ap3.models.head import find_head
from ap3.models.preprocessing import View
from ap3.models.pretrained import Pretrained
from ap3.models.registry import build
from ap3.stages.weights import weights as stage

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


@pytest.fixture(scope="module")
def imagenet():
    """A small network of torchvision as it is published: a thousand classes."""
    torch.manual_seed(1)
    return models.shufflenet_v2_x0_5(weights=None)


def given(path: Path, name="shufflenet_v2_x0_5", size=32, classes=10) -> nn.Module:
    network = build(name, classes, size)
    Pretrained.load(path).give_to(network, find_head(network, size))
    return network


def check_trunk(network: nn.Module, source: nn.Module, head: str = "fc") -> None:
    state = network.state_dict()
    for name, tensor in source.state_dict().items():
        if not name.startswith(f"{head}."):
            torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)


# Files of the user's own


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("new.pth", torch.save),
        ("old.pt", partial(torch.save, _use_new_zipfile_serialization=False)),
        ("plain.safetensors", save_file),
        ("wrapped.pth", lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path)),
        ("model.pth", lambda state, path: torch.save({"model": state, "args": None}, path)),
    ],
)
def test_a_file_gives_the_trunk_and_leaves_a_fresh_last_layer(tmp_path, imagenet, name, write):
    write(imagenet.state_dict(), tmp_path / name)
    network = given(tmp_path / name)
    check_trunk(network, imagenet)
    assert network.fc.weight.shape == (10, 1024)
    assert Pretrained.load(tmp_path / name).view is None


def test_a_last_layer_of_the_right_shape_is_taken_over(tmp_path, imagenet):
    torch.save(imagenet.state_dict(), tmp_path / "w.pth")
    network = given(tmp_path / "w.pth", classes=1000)
    assert torch.equal(network.fc.weight, imagenet.fc.weight)
    assert torch.equal(network.fc.bias, imagenet.fc.bias)


def test_a_file_without_a_last_layer_will_do(tmp_path, imagenet):
    state = {k: v for k, v in imagenet.state_dict().items() if not k.startswith("fc.")}
    torch.save(state, tmp_path / "w.pth")
    check_trunk(given(tmp_path / "w.pth"), imagenet)


def test_a_last_layer_without_a_bias_is_taken_over_with_one_of_zeros(tmp_path, imagenet):
    state = {k: v for k, v in imagenet.state_dict().items() if k != "fc.bias"}
    torch.save(state, tmp_path / "w.pth")
    network = given(tmp_path / "w.pth", classes=1000)
    assert torch.equal(network.fc.weight, imagenet.fc.weight)
    assert not network.fc.bias.any()


def test_weights_of_another_architecture_name_the_tensors_that_differ(tmp_path, imagenet):
    torch.save(imagenet.state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError) as refusal:
        given(tmp_path / "w.pth", "resnet18")
    assert "w.pth holds the weights of another network than ResNet" in str(refusal.value)
    assert "missing: bn1.bias, bn1.running_mean" in str(refusal.value)
    assert "not expected: conv1.0.weight" in str(refusal.value)
    with pytest.raises(UserError, match=r"of another shape: conv5.0.weight .\(1024, 192, 1, 1\)"):
        given(tmp_path / "w.pth", "shufflenet_v2_x1_0")


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_file_with_code_in_it_is_refused_and_nothing_runs(tmp_path):
    torch.save({"fc.weight": Malicious(tmp_path / "made")}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w.pth holds pickled Python objects beside tensors"):
        Pretrained.load(tmp_path / "w.pth")
    assert not (tmp_path / "made").exists()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("spoil", [truncate, lambda path: path.write_bytes(b"")])
def test_a_half_or_empty_file_is_refused(tmp_path, imagenet, name, spoil):
    (save_file if name.endswith("safetensors") else torch.save)(
        imagenet.state_dict(), tmp_path / name
    )
    spoil(tmp_path / name)
    with pytest.raises(UserError, match=r"is no checkpoint|is a damaged safetensors file") as no:
        Pretrained.load(tmp_path / name)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("content", [b"import torch\n", b"cos\nsystem\n.", b"PK", b"\x80"])
def test_what_is_no_file_of_weights_is_refused(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"w.pth is no checkpoint"):
        Pretrained.load(tmp_path / "w.pth")


@pytest.mark.parametrize("content", [torch.zeros(3), {}, {"epoch": 3, "loss": 0.1}])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w.pth holds no state dict"):
        Pretrained.load(tmp_path / "w.pth")


def test_values_of_no_type_of_torch_are_refused(tmp_path):
    torch.save({"layer.weight": np.zeros((2, 3), "V4")}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"layer\.weight holds values of type \|V4"):
        Pretrained.load(tmp_path / "weights.pt")


def test_values_that_are_not_finite_are_refused(tmp_path, imagenet):
    state = {k: v.clone() for k, v in imagenet.state_dict().items()}
    state["conv1.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"not finite, in conv1.0.weight; choose"):
        given(tmp_path / "w.pth")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no.pth cannot be read .No such file"):
        Pretrained.load(tmp_path / "no.pth")


def test_a_damaged_file_of_ours_is_refused(tmp_path, imagenet):
    path = tmp_path / "w.safetensors"
    Pretrained("Small.FIRST", imagenet.state_dict(), View(48, MEAN, STD)).save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"w.safetensors is damaged"):
        Pretrained.load(path)


def test_a_vision_transformer_takes_weights_of_another_image_size(tmp_path):
    torch.manual_seed(2)
    trained = build("small_vit", 10, 32)
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    same = given(tmp_path / "w.pth", "small_vit", 32)
    check_trunk(same, trained, "heads.head")
    # A grid of 4 × 4 patches becomes one of 8 × 8, of the same patch size.
    bigger = models.VisionTransformer(64, 8, 3, 4, 64, 128, num_classes=10)
    Pretrained.load(tmp_path / "w.pth").give_to(bigger, "heads.head")
    assert bigger.encoder.pos_embedding.shape == (1, 65, 64)
    name = "encoder.layers.encoder_layer_0.mlp.0.weight"
    assert torch.equal(bigger.state_dict()[name], trained.state_dict()[name])


def test_files_of_old_versions_are_understood(tmp_path):
    torch.manual_seed(3)
    trained = models.densenet121(weights=None)
    old = {
        name.replace("norm1", "norm.1")
        .replace("norm2", "norm.2")
        .replace("conv1", "conv.1")
        .replace("conv2", "conv.2"): tensor
        for name, tensor in trained.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "w.pth")
    check_trunk(given(tmp_path / "w.pth", "densenet121"), trained, "classifier")


def test_branches_that_only_training_sees_are_left_out(tmp_path):
    torch.manual_seed(4)
    trained = models.googlenet(weights=None, aux_logits=True, init_weights=False)
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    network = given(tmp_path / "w.pth", "googlenet")
    assert torch.equal(network.conv1.conv.weight, trained.conv1.conv.weight)


# What torchvision publishes


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_FIRST_WAIT", 0.001)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def publisher(tmp_path, imagenet, monkeypatch):
    """A server that publishes weights the way that torchvision's does; gives it and their name."""
    file = tmp_path / "trained.pth"
    torch.save(imagenet.state_dict(), file)
    content = file.read_bytes()
    name = f"shufflenet-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    with serve() as server:
        server.files[name] = content
        seen = partial(ImageClassification, crop_size=48, mean=MEAN, std=STD)

        class Published(WeightsEnum):
            FIRST = Weights(url=f"{server.url}/{name}", transforms=seen, meta={})
            DEFAULT = FIRST

        monkeypatch.setattr(published.models, "get_model_weights", lambda _: Published)
        yield server, name


def fetch(tmp_path: Path, **options) -> Pretrained:
    out = tmp_path / "weights" / "DEFAULT.safetensors"
    stage("shufflenet_v2_x0_5", "DEFAULT", out, **options)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    return Pretrained.load(out)


@pytest.mark.parametrize("faults", [[], [BUSY, CUT, CUT]])
def test_published_weights_arrive_with_their_view(tmp_path, publisher, imagenet, faults):
    server, _ = publisher
    server.faults = list(faults)
    loaded = fetch(tmp_path)
    assert loaded.name == "Published.FIRST"
    assert loaded.view == View(48, MEAN, STD)
    assert len(server.ranges) == len(faults) + 1
    for name, tensor in imagenet.state_dict().items():
        assert torch.equal(loaded.state[name], tensor), name


def test_a_whole_part_of_an_unknown_length_is_taken(tmp_path, publisher):
    server, name = publisher
    part = tmp_path / "weights" / f"{name}.part"
    part.parent.mkdir()
    part.write_bytes(server.files[name])
    fetch(tmp_path)
    assert server.ranges == [f"bytes={len(server.files[name])}-"]


@pytest.mark.parametrize("place", ["", "torchvision"])
def test_data_dir_may_hold_the_file(tmp_path, publisher, place):
    server, name = publisher
    folder = tmp_path / "disk" / place
    folder.mkdir(parents=True)
    (folder / name).write_bytes(server.files[name])
    assert fetch(tmp_path, data_dir=tmp_path / "disk").view == View(48, MEAN, STD)
    assert server.ranges == []


def test_a_file_of_another_digest_is_refused_and_nothing_left(tmp_path, publisher):
    server, name = publisher
    server.files[name] = b"something else"
    with pytest.raises(UserError, match=rf"{name} of torchvision: it has 14 bytes"):
        fetch(tmp_path)
    (tmp_path / name).write_bytes(b"half")
    with pytest.raises(UserError, match=rf"expected were {name[11:19]}; get it again"):
        fetch(tmp_path, data_dir=tmp_path)
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_missing_file_in_data_dir_is_named(tmp_path, publisher):
    _, name = publisher
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match=f"data_dir has no {name}"):
        fetch(tmp_path, data_dir=tmp_path / "mine")


def test_weights_that_do_not_exist_are_refused(tmp_path):
    out = tmp_path / "w.safetensors"
    with pytest.raises(
        UserError, match="'IMAGENET1K_V9', but must be none, DEFAULT, IMAGENET1K_V1"
    ):
        stage("alexnet", "IMAGENET1K_V9", out)
    with pytest.raises(UserError, match="small_vgg is no network of torchvision"):
        stage("small_vgg", "DEFAULT", out)
    with pytest.raises(UserError, match="did you mean 'alexnet'"):
        stage("alexnett", "DEFAULT", out)


def test_every_published_file_carries_its_digest_and_its_view():
    for name in models.list_models(module=models):
        for entry in models.get_model_weights(name):
            (digest,) = published.remote_file(entry).sha256
            assert len(digest) >= 8
            assert int(digest, 16) >= 0
            assert published.view_of(entry).size >= 224


def test_a_folder_is_no_file_that_a_study_could_follow(tmp_path):
    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        with pytest.raises(UserError, match="is no single file"):
            Pretrained.load(path)


def test_what_was_done_to_get_at_the_weights_is_said(tmp_path, capsys):
    state = {"fc.weight": torch.ones(2, 2), "fc.weight_mask": torch.eye(2)}
    torch.save({"model": state, "ema": state}, tmp_path / "w.pth")
    assert torch.equal(Pretrained.load(tmp_path / "w.pth").state["fc.weight"], torch.eye(2))
    assert "fc.weight were multiplied" in capsys.readouterr().err
