"""Checkpoints as tools leave them: the weights meant come out, or one sentence."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ap3.comparing.layer_table import compare
from ap3.errors import UserError
from ap3.files import quantised, storage
from ap3.files.lazy_tensors import StateDict
from ap3.files.safe_names import LONGEST, safe
from ap3.files.state_dicts import of_content, plain, read

torch.manual_seed(0)
NET = {"conv.weight": torch.randn(8, 4, 3, 3), "fc.weight": torch.randn(16, 32)}
OTHER = {name: 2 * value for name, value in NET.items()}
MASK = (torch.rand(16, 32) > 0.5).float()


def from_file(content, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    return plain(read(tmp_path / "a.pt"))


def from_memory(content, _):
    return plain(of_content(content, "the network"))


BOTH = pytest.mark.parametrize("given", [from_file, from_memory])


def assert_network(state, expected=NET):
    assert expected.keys() <= state.keys()
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor), name


@BOTH
@pytest.mark.parametrize(
    "content",
    [
        {"model": NET, "ema": {"model": OTHER}},
        {"model_ema": OTHER, "model": NET},
        {"state_dict": NET, "teacher": OTHER, "optimizer": {"state": {0: {"exp_avg": MASK}}}},
        {"student": NET, "teacher": OTHER},
        {"averaged_model": {"module": OTHER}, "network": NET},
        {"trainer": {"model": {"state_dict": NET}, "ema": {"shadow": OTHER}}},
    ],
)
def test_a_copy_does_not_win_and_is_named(content, given, tmp_path):
    state = given(content, tmp_path)
    assert_network(state)
    assert sum("was read, and not" in remark for remark in state.remarks) == 1


@BOTH
def test_a_copy_that_is_alone_is_taken_and_named(given, tmp_path):
    state = given({"ema": NET, "epoch": 3}, tmp_path)
    assert_network(state)
    assert "a copy by its name" in state.remarks[0]


@BOTH
@pytest.mark.parametrize(
    "content",
    [
        {"generator": NET, "discriminator": OTHER},
        {"model": NET, "state_dict": OTHER},
        {"ema": NET, "teacher": OTHER},
        {"a": {"state_dict": NET}, "b": {"state_dict": OTHER}},
    ],
)
def test_networks_of_equal_standing_are_refused_by_name(content, given, tmp_path):
    with pytest.raises(UserError, match="holds several state dicts") as refused:
        given(content, tmp_path)
    assert all(name in str(refused.value) for name in content)


@BOTH
@pytest.mark.parametrize(
    "content",
    [
        NET | {"fc.weight_mask": MASK},
        NET | {"fc.mask": MASK.bool()},
        NET | {"fc.weight.mask": MASK.to(torch.uint8)},
        NET | {"fc.pruning": MASK},
        {"state_dict": NET, "mask_dict": {"fc.weight": MASK}},
        {"state_dict": NET, "masks": {"fc": MASK}},
        {"model": NET, "kept": {"fc.weight": MASK.bool()}},
        {
            "conv.weight": NET["conv.weight"],
            "fc.weight_orig": NET["fc.weight"],
            "fc.weight_mask": MASK,
        },
        {
            "conv.weight": NET["conv.weight"],
            "fc.parametrizations.weight.original": NET["fc.weight"],
            "fc.parametrizations.weight.0.mask": MASK,
        },
    ],
)
def test_masks_are_multiplied_in(content, given, tmp_path):
    state = given(content, tmp_path)
    assert_network(state, NET | {"fc.weight": NET["fc.weight"] * MASK})
    assert len(state) == 2


def test_a_mask_of_rows():
    rows = torch.tensor([1.0, 0, 1, 1] * 4)
    state = plain(NET | {"fc.mask": rows})
    assert torch.equal(state["fc.weight"], NET["fc.weight"] * rows[:, None])


@pytest.mark.parametrize("beside", [MASK * 0, MASK * 0 + 1, MASK * 0.5, MASK - 1])
def test_what_is_no_mask_is_left_alone(beside):
    """A layer that was zeroed whole must not be taken for the mask of the one beside it."""
    state = plain({"rnn.weight_ih": NET["fc.weight"], "rnn.weight_hh": beside})
    assert torch.equal(state["rnn.weight_ih"], NET["fc.weight"])
    assert torch.equal(state["rnn.weight_hh"], beside)


W = torch.randn(256, 384)


def block_scales(block):
    rows, columns = (-(-size // block) for size in W.shape)
    return torch.rand(rows, columns) + 0.5


def expanded(scale, block):
    wide = scale.repeat_interleave(block, 0).repeat_interleave(block, 1)
    return wide[: W.shape[0], : W.shape[1]]


@pytest.mark.parametrize(
    ("name", "scale", "spread"),
    [
        ("fc.weight_scale", torch.tensor(0.5), None),
        ("fc.scale_weight", torch.tensor([0.5]), None),
        ("fc.weight_scale", torch.rand(256), lambda s: s[:, None]),
        ("fc.weight.scale", torch.rand(256, 1), None),
        ("fc.weight_scale", torch.rand(1, 384), None),
        ("fc.weight_scale_inv", block_scales(128), lambda s: expanded(s, 128)),
        ("fc.weight_scale_inv", block_scales(64), lambda s: expanded(s, 64)),
        ("fc.SCB", torch.rand(256), lambda s: s[:, None] / 127),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_codes_are_multiplied_by_their_scales(name, scale, spread, dtype):
    codes = (W * 30).clamp(-120, 120).round().to(dtype)
    state = plain({"fc.weight": codes, name: scale})
    expected = codes.float() * (spread(scale) if spread else scale)
    torch.testing.assert_close(state["fc.weight"], expected, rtol=1e-6, atol=0)
    assert list(state) == ["fc.weight"]
    assert "dequantised" in state.remarks[0]


def test_zero_points_and_groups_of_columns():
    codes = torch.randint(0, 255, (8, 32), dtype=torch.uint8)
    scale, zero = torch.rand(8, 4), torch.randint(0, 255, (8, 4))
    state = plain({"fc.weight": codes, "fc.weight_scale": scale, "fc.weight_zero_point": zero})
    wide = [part.repeat_interleave(8, 1) for part in (zero, scale)]
    torch.testing.assert_close(state["fc.weight"], (codes.float() - wide[0]) * wide[1])


@pytest.mark.parametrize(
    ("dtype", "beside", "sentence"),
    [
        (torch.uint8, {}, "without a zero point"),  # four codes to a number, as BitNet packs them
        (torch.uint8, {"fc.zero": torch.ones(2)}, "zero beside it may be their zero point"),
        (torch.int8, {"fc.weight_zeros": torch.ones(2)}, "weight_zeros beside it may be"),
    ],
)
def test_codes_without_their_zero_point_are_refused(dtype, beside, sentence):
    codes = torch.ones(2, 8, dtype=dtype)
    state = plain({"fc.weight": codes, "fc.weight_scale": torch.ones(1), **beside})
    with pytest.raises(UserError, match=sentence):
        state["fc.weight"]


@pytest.mark.parametrize(
    "name",
    ["input_zero_point", "a_zero_point", "bias_zero_point", "conv_offset.weight", "zero_point"],
)
def test_zero_points_of_others_are_not_those_of_weights(name):
    """The scale and the zero point of what a layer puts out stand there, too."""
    beside = {
        "fc.weight_scale": torch.ones(1),
        f"fc.{name}": torch.ones(1),
        "fc.scale": torch.ones(1),
    }
    state = plain({"fc.weight": torch.ones(2, 8, dtype=torch.int8), **beside})
    torch.testing.assert_close(state["fc.weight"], torch.ones(2, 8))


def test_blocks_that_are_cut_off():
    assert quantised._blocks((5, 56), (576, 7168)) == (128, 128)
    assert quantised._blocks((2, 3), (192, 384)) == (128, 128)
    assert quantised._blocks((3, 3), (7, 9)) is None


@pytest.mark.parametrize("scale", [torch.rand(7), torch.rand(5, 5), torch.rand(2, 2, 2)])
def test_scales_that_do_not_fit_are_refused(scale):
    state = plain({"fc.weight": torch.ones(256, 384).to(torch.int8), "fc.weight_scale": scale})
    with pytest.raises(UserError, match="don't fit"):
        state["fc.weight"]


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({"fc.qweight": torch.ones(4, 4, dtype=torch.int32)}, "GPTQ or AWQ"),
        ({"fc.weight_packed": torch.ones(4, 4, dtype=torch.int32)}, "compressed-tensors"),
        (
            {"fc.weight": torch.ones(8, 1).to(torch.uint8), "fc.weight.quant_map": MASK},
            "bitsandbytes",
        ),
        ({"w_blocks": torch.ones(4, 4).to(torch.uint8), "w_scales": MASK}, "MXFP4"),
        ({"fc.lora_A.weight": MASK, "fc.lora_B.weight": MASK}, "merge_and_unload"),
        ({"fc.weight": MASK, "fc.lora_A": MASK, "fc.lora_B": MASK}, "merge_and_unload"),
        ({"fc.weight": MASK, "fc.lora_a.weight": MASK}, "merge_and_unload"),
        ({"lora_unet_fc.lora_down.weight": MASK}, "merge_and_unload"),
        ({"fc.base_layer.weight": MASK, "fc.ia3_l.default": MASK}, "merge_and_unload"),
    ],
)
def test_packed_weights_and_adapters_are_refused_with_what_helps(tensors, word):
    with pytest.raises(UserError, match=word):
        plain(tensors)


@pytest.mark.parametrize("name", ["weights_scaling_factor", "weight_descale", "weight_q._amax"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8])
def test_codes_with_a_scale_of_a_name_that_is_not_known_are_refused(name, dtype):
    codes = torch.full((4, 4), 3.0).to(dtype)
    state = plain({"fc.weight": codes, f"fc.{name}": torch.tensor(0.01)})
    with pytest.raises(UserError, match=f"{re.escape(name)} beside it may be their scale"):
        compare({"fc.weight": torch.ones(4, 4)}, state)
    plainly = plain({"fc.weight": codes, "fc.input_scale": torch.tensor(0.01)})
    assert torch.equal(plainly["fc.weight"].float(), codes.float())


def shards(folder, groups, index=None):
    folder.mkdir()
    places = {}
    for number, names in enumerate(groups, 1):
        file = f"model-{number:05}-of-{len(groups):05}.safetensors"
        save_file({name: NET[name] for name in names}, folder / file)
        places |= dict.fromkeys(names, file)
    text = json.dumps({"weight_map": places} if index is None else index)
    (folder / "model.safetensors.index.json").write_text(text, "utf-8")
    return folder


def test_folders_indices_and_shards(tmp_path):
    folder = shards(tmp_path / "hub", [["conv.weight"], ["fc.weight"]])
    assert_network(read(folder))
    assert_network(read(str(folder / "model.safetensors.index.json")))
    for name, save in (("model.safetensors", save_file), ("pytorch_model.bin", torch.save)):
        one = tmp_path / name.replace(".", "_")
        one.mkdir()
        save(NET, one / name)
        (one / "training_args.bin").write_bytes(b"")
        assert_network(read(one))


def test_what_transformers_would_load_is_read(tmp_path):
    """One whole file wins over older shards beside it."""
    folder = shards(tmp_path / "hub", [["conv.weight"], ["fc.weight"]])
    newer = {name: 2 * tensor for name, tensor in NET.items()}
    save_file(newer, folder / "model.safetensors")
    assert_network(read(folder), newer)


def test_layers_of_two_shards_are_not_one_memory(tmp_path):
    """Each file of torch.save numbers its storages from 0."""
    places = {}
    for number in (1, 2, 3):
        file = f"pytorch_model-{number:05}-of-00003.bin"
        torch.save({f"{number}.weight": torch.full((4, 4), float(number))}, tmp_path / file)
        places[f"{number}.weight"] = file
    (tmp_path / "pytorch_model.bin.index.json").write_text(
        json.dumps({"weight_map": places}), "utf-8"
    )
    table = compare(tmp_path, tmp_path)
    assert table["layer"].tolist() == ["1", "2", "3"]
    assert not table.remarks


def test_a_shard_that_is_missing_or_lacks_a_tensor(tmp_path):
    folder = shards(tmp_path / "hub", [["conv.weight"], ["fc.weight"]])
    second = folder / "model-00002-of-00002.safetensors"
    save_file({"other": MASK}, second)
    with pytest.raises(
        UserError, match=r"fc.weight is in model-00002-of-00002.safetensors, but it"
    ):
        read(folder)
    second.unlink()
    with pytest.raises(
        UserError, match=r"names the shard model-00002-of-00002.safetensors, which is"
    ):
        read(folder)


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "a/../../b", "..\\b", "C:\\b", "", "a\0b"]
)
def test_a_shard_outside_of_the_folder_is_not_opened(name, tmp_path):
    save_file(NET, tmp_path / "secret.safetensors")
    folder = shards(tmp_path / "hub", [], {"weight_map": {"fc.weight": name}})
    with pytest.raises(UserError, match="outside of its folder"):
        read(folder)


@pytest.mark.parametrize(
    "index", [[], {}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": {"a": 1}}]
)
def test_an_index_that_is_none(index, tmp_path):
    with pytest.raises(UserError, match="is no index of shards"):
        read(shards(tmp_path / "hub", [], index))


def test_folders_without_one_file(tmp_path):
    with pytest.raises(UserError, match="a folder without weights"):
        read(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}", "utf-8")
    save_file({"a": MASK}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(UserError, match="merge_and_unload"):
        read(tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    save_file({"a": MASK}, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match="several files of weights and no index"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"GGUF\3\0\0\0" + bytes(40), "GGUF"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b" + bytes(20), "gzip"),
        (b"<!DOCTYPE html><html>", "web page"),
    ],
)
def test_other_formats_are_named(content, word, tmp_path):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(UserError, match=word):
        read(tmp_path / "a.bin")
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07\x12")
    with pytest.raises(UserError, match="ONNX"):
        read(tmp_path / "a.onnx")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_other_archives_are_named(tmp_path):
    torch.jit.script(torch.nn.Linear(4, 4)).save(tmp_path / "script.pt")
    with pytest.raises(UserError, match=r"TorchScript archive.*torch.jit.load\('script.pt'\)"):
        read(tmp_path / "script.pt")
    np.savez(tmp_path / "a.npz", w=np.ones((2, 2)))
    with pytest.raises(UserError, match="NumPy arrays"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("place", [-1, -100, -1000])
def test_a_flipped_bit_in_a_file_of_ours_is_refused(place, tmp_path):
    path = tmp_path / "a.safetensors"
    storage.save(path, {name: value.numpy() for name, value in NET.items()}, weights="x")
    assert_network(read(path))
    content = bytearray(path.read_bytes())
    content[place] ^= 64
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its content does not match the digest"):
        read(path)


def test_flipped_and_missing_bytes_of_safetensors(tmp_path):
    path, draw = tmp_path / "a.safetensors", np.random.default_rng(0)
    save_file(NET, path)
    content = path.read_bytes()
    for _ in range(150):
        changed = bytearray(content)
        if draw.random() < 0.2:
            del changed[int(draw.integers(len(changed))) :]
        else:
            changed[int(draw.integers(len(changed) if draw.random() < 0.3 else 160))] ^= 1 << int(
                draw.integers(8)
            )
        path.write_bytes(changed)
        try:
            dict(plain(read(path)))
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017


NASTY = [
    "\x1b[2J\x1b[31m",
    "a\nb",
    "\u202egnp.exe",
    "[red]x[/red]",
    "[/]",
    "[link=http://x]y",
    "x" * 10**5,
]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_safe_to_print(name, tmp_path):
    for state in (from_file({f"{name}.weight": MASK}, tmp_path), plain({f"{name}.weight": MASK})):
        (shown,) = state
        assert shown.isprintable()
        assert len(shown) <= LONGEST + 20
        assert shown.endswith(".weight")


def test_names_that_would_be_one():
    with pytest.raises(UserError, match="only differ in unprintable or endless parts"):
        plain({"x" * 1000: MASK, "x" * 1001: MASK})
    assert safe(10**30) == "<int>"
    assert safe(3) == "3"


def test_what_is_no_tensor_is_left_out():
    assert list(StateDict.of({"a": torch.ones(2), "extra": "text", "b": {"c": 1}})) == ["a"]
