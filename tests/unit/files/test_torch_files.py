"""Files of torch.save, honest and hostile: the same tensors as torch's, or one sentence."""

import collections
import io
import itertools
import pathlib
import pickle
import resource
import struct
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from ap3.comparing.layer_table import compare
from ap3.errors import UserError
from ap3.files import inert_pickles
from ap3.files.described_tensors import MalformedError
from ap3.files.state_dicts import plain, read

NET = {"fc.weight": torch.randn(40, 30), "fc.bias": torch.randn(40)}


def saved(content, path, **options):
    torch.save(content, path, **options)
    return path


def rezipped(path, compression=zipfile.ZIP_DEFLATED, change=None):
    """Unzip and zip again, as people do with what they download."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, content in (change or {}).items():
        members[next(n for n in members if n.endswith(name))] = content
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.bool,
        torch.float8_e4m3fn,
        torch.uint16,
        torch.uint8,
    ],
)
def test_every_type_as_torch_reads_it(tmp_path, dtype, new):
    whole = (torch.randn(12, 7) * 3).abs().to(dtype)
    content = {
        "a": whole,
        "b": whole[2:5, ::2],
        "c": whole.t(),
        "d": nn.Parameter(torch.ones(2, 2)),
    }
    path = saved(content, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    found = read(path)
    assert found.keys() == content.keys()
    for name, tensor in content.items():
        assert found.entries[name].dtype == str(tensor.dtype).removeprefix("torch.")
        assert torch.equal(found[name].double(), tensor.detach().double())


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_negated_quantised_and_empty_tensors(tmp_path):
    codes = torch.quantize_per_tensor(NET["fc.weight"], 0.05, 3, torch.qint8)
    scales, zeros = torch.full((40,), 0.1), torch.zeros(40, dtype=torch.int64)
    rows = torch.quantize_per_channel(NET["fc.weight"], scales, zeros, 0, torch.qint8)
    negated = torch.randn(3, 3, dtype=torch.complex64).conj().imag
    content = {"q": codes, "r": rows, "n": negated, "e": torch.ones(0, 3)}
    found = read(saved(content, tmp_path / "a.pt"))
    assert torch.allclose(found["q"], codes.dequantize())
    assert torch.allclose(found["r"], rows.dequantize())
    assert torch.equal(found["n"], negated.resolve_neg())
    assert found["e"].shape == (0, 3)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_an_archive_that_was_zipped_again(tmp_path, compression):
    path = rezipped(saved(NET, tmp_path / "a.pt"), compression)
    (row,) = compare(NET, path).itertuples()
    assert (row.ap2, row.kind) == (0, "untouched")


def test_inert_objects_stand_beside_weights(tmp_path):
    import argparse
    import datetime

    beside = {
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
        "best": np.float64(71.3),
        "counts": collections.defaultdict(list, {"a": [1]}),
        "counter": collections.Counter("aab"),
        "seen": {1, 2},
        "history": np.arange(6.0).reshape(2, 3),
        "when": datetime.datetime(2026, 1, 2),
        "device": torch.device("cpu"),
        "size": torch.Size([2]),
    }
    found = read(saved({"state_dict": collections.OrderedDict(NET)} | beside, tmp_path / "a.pt"))
    assert found.keys() == NET.keys()
    assert torch.equal(found["fc.weight"], NET["fc.weight"])


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_large_array_in_a_plain_pickle(tmp_path, protocol):
    array = np.random.default_rng(0).normal(size=(1000, 600)).astype("f4")
    content = pickle.dumps({"fc.weight": array}, protocol=protocol)
    (tmp_path / "net.pkl").write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / "net.pkl")["fc.weight"], array)


def test_arrays_of_numpy(tmp_path):
    content = {"w.weight": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.ones(2, ">f4")}
    for protocol in (2, 4, 5):
        found = read(saved(content, tmp_path / "a.pt", pickle_protocol=protocol))
        for name, array in content.items():
            np.testing.assert_array_equal(found[name], array)
        (tmp_path / "b.pkl").write_bytes(pickle.dumps(content, protocol))
        np.testing.assert_array_equal(read(tmp_path / "b.pkl")["w.weight"], content["w.weight"])


@pytest.mark.parametrize(
    "address",
    [
        *("omegaconf.dictconfig.DictConfig", "easydict.EasyDict", "yacs.config.CfgNode"),
        *("mmengine.logging.history_buffer.HistoryBuffer", "addict.addict.Dict"),
        "lightning_fabric.utilities.data.AttributeDict",
    ],
)
def test_the_configuration_of_a_training_loop_is_left_out(tmp_path, monkeypatch, address):
    """By the addresses that the libraries' own pickles name; nothing of them is imported or made."""
    module, _, name = address.rpartition(".")
    stand_in = types.ModuleType(module)
    kind = type(name, (dict,), {"__module__": module, "__init__": lambda self: self})
    setattr(stand_in, name, kind)
    with monkeypatch.context() as patched:
        for parent in itertools.accumulate(module.split("."), "{}.{}".format):
            patched.setitem(sys.modules, parent, stand_in)
        settings = kind.__new__(kind)
        settings["lr"] = 0.1
        beside = {"hyper_parameters": settings, "generator": np.random.default_rng(0)}
        path = saved({"state_dict": NET} | beside, tmp_path / "a.ckpt")
    same = {name: torch.equal(tensor, NET[name]) for name, tensor in read(path).items()}
    assert same == dict.fromkeys(NET, True)


class Unknown:
    """A class that a file of weights has no need for."""


@pytest.mark.parametrize("new", [True, False])
def test_a_class_that_is_not_known_is_refused_by_name(tmp_path, new):
    path = tmp_path / "a.pt"
    saved({"state_dict": NET, "x": Unknown()}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(UserError, match=r"pickled Python objects beside tensors \(.*Unknown\)"):
        read(path)


class Attack:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "attack",
    [
        Attack(exec, "raise SystemExit"),
        Attack(bytearray, 10**13),
        Attack(torch.Tensor, 10**6, 10**6),
        Attack(list, range(10**12)),
        Attack(getattr, "text", "upper"),
    ],
)
def test_nothing_is_called(tmp_path, attack):
    """What a pickle asks for is refused, or a word without effect: never made."""
    path = saved({"state_dict": NET, "x": attack}, tmp_path / "a.pt")
    try:
        assert read(path).keys() == NET.keys()
    except UserError as error:
        assert "pickled Python objects" in str(error)  # noqa: PT017


def swelling(path):
    """A megabyte whose data.pkl inflates to a gigabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("archive/data.pkl", "w") as file:
            file.write(b"\x80\x02](")
            for _ in range(1000):
                file.write(b"K\x01" * 2**19)
            file.write(b"e.")
        archive.writestr("archive/data/0", b"")


def zeros_that_swell(path):
    torch.save({"w.weight": torch.zeros(8_000, 8_000)}, path)
    rezipped(path)


def endlessly_sparse(path):
    index = torch.zeros(2, 1, dtype=torch.int64)
    torch.save(
        {"w.weight": torch.sparse_coo_tensor(index, [1.0], (10**6, 10**6), check_invariants=False)},
        path,
    )


def expanded(path):
    torch.save({"w.weight": torch.ones(1).expand(10**6, 10**6)}, path)


def many_expanded(path):
    one = torch.ones(1)
    torch.save({f"w{i}.weight": one.expand(1000, 1000 + i) for i in range(100)}, path)


def holding_itself(path):
    content = {"a": {}}
    content["a"]["b"] = content
    torch.save(content, path)


def with_many_paths(path):
    content = {"w": 1}
    for _ in range(40):
        content = {"a": content, "b": content}
    torch.save(content, path)


def deep(path):
    path.write_bytes(b"\x80\x02}X\x01\0\0\0aN" + b"\x85" * 10**5 + b"s.")


HOSTILE = (
    swelling,
    zeros_that_swell,
    endlessly_sparse,
    expanded,
    many_expanded,
    holding_itself,
    with_many_paths,
    deep,
)
LIMITED = """
import resource, sys, torch, ap3
from ap3.comparing import layer_table
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(resource.getrusage(0).ru_utime) + 60,) * 2)
for path in sys.argv[1:]:
    try:
        ap3.compare(path, path)
    except ap3.UserError as error:
        print(error)
"""


@pytest.mark.slow
def test_memory_and_time_follow_the_size_of_the_file(tmp_path):
    """In a process that may take one gigabyte more than torch does, and a minute."""
    paths = [tmp_path / make.__name__ for make in HOSTILE]
    for make, path in zip(HOSTILE, paths, strict=True):
        make(path)
    command = [sys.executable, "-c", LIMITED, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-500:]
    said = done.stdout.splitlines()
    assert len(said) == len(paths)
    assert all(str(path) in line for path, line in zip(paths, said, strict=True))


def test_a_small_file_may_be_sparse_and_expanded(tmp_path):
    wide = torch.zeros(100, 100)
    wide[3, 4] = 2
    content = {"a.weight": wide.to_sparse(), "b.weight": torch.ones(1).expand(50, 50)}
    found = read(saved(content, tmp_path / "a.pt"))
    assert torch.equal(found["a.weight"], wide)
    assert torch.equal(found["b.weight"], torch.ones(50, 50))


@pytest.mark.parametrize("new", [True, False])
def test_flipped_and_missing_bytes_never_end_in_a_traceback(tmp_path, new):
    path, draw = tmp_path / "a.pt", np.random.default_rng(0)
    saved({"model": NET, "epoch": 3}, path, _use_new_zipfile_serialization=new)
    content = path.read_bytes()
    for _ in range(150):
        changed = bytearray(content)
        if draw.random() < 0.3:
            del changed[int(draw.integers(len(changed))) :]
        else:
            for place in draw.integers(len(changed), size=int(draw.integers(1, 4))):
                changed[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(bytes(changed))
        try:
            for tensor in plain(read(path)).values():
                tensor.sum()
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_tensor_that_reaches_beyond_its_numbers(tmp_path):
    path = saved({"w.weight": torch.ones(4, 5)}, tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        data = archive.read("a/data.pkl")
    rezipped(path, zipfile.ZIP_STORED, {"data.pkl": data.replace(b"K\x04K\x05", b"K\x05K\x05")})
    with pytest.raises(UserError, match=r"w.weight in .* is damaged \(it reaches beyond"):
        dict(read(path))
    rezipped(path, zipfile.ZIP_STORED, {"data.pkl": data, "data/0": b"\0" * 400})
    with pytest.raises(UserError, match="has 400 bytes in place of 80"):
        dict(read(path))


def test_two_members_of_one_name(tmp_path):
    path = saved(NET, tmp_path / "a.pt")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/data/0", b"\0" * 4800)
    with pytest.raises(UserError, match="two members of the archive have one name"):
        read(path)


def test_the_machine_knows_no_other_operations():
    for content in (b"\x80\x02.", b"(lp0\n.", b"N0.", b"\x82\x01.", b"2.", b"h\x07.", b"\x80\x02N"):
        try:
            inert_pickles.read(io.BytesIO(content))
        except MalformedError:
            continue
        assert content == b"(lp0\n."


def test_copies_in_a_pickle_do_not_multiply(tmp_path):
    """A list of 10⁵ numbers handed to list() and OrderedDict() 10⁵ times."""
    start = (
        b"\x80\x02(c__builtin__\nlist\nq\x00c__builtin__\nset\nq\x01]("
        + b"K\x01" * 10**5
        + b"eq\x02"
    )
    path = tmp_path / "a.pkl"
    path.write_bytes(start + b"h\x01h\x02\x85R" * 10**5 + b"t.")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="holds no state dict"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_a_large_count_in_an_old_file(tmp_path):
    path = saved(NET, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for count in (-1, 2**40, 2**62):
        path.write_bytes(content.replace(struct.pack("<q", 1200), struct.pack("<q", count)))
        with pytest.raises(UserError, match="numbers that belong to no tensor"):
            read(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_compressed_archive(tmp_path, compression):
    path = rezipped(saved(NET, tmp_path / "a.pt"), compression)
    content, draw = path.read_bytes(), np.random.default_rng(0)
    for _ in range(100):
        changed = bytearray(content)
        for place in draw.integers(len(changed), size=3):
            changed[place] = int(draw.integers(256))
        path.write_bytes(changed)
        try:
            dict(plain(read(path)))
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_flipped_bit_of_a_number_is_refused(tmp_path):
    path = saved(NET, tmp_path / "a.pt")
    content = bytearray(path.read_bytes())
    place = content.find(NET["fc.weight"].numpy().tobytes())
    content[place + 3] ^= 64
    path.write_bytes(content)
    with pytest.raises(UserError, match="do not match the checksum"):
        dict(read(path))


def test_a_file_without_checksums(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(NET, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read(path)["fc.weight"], NET["fc.weight"])
