import resource

import numpy as np
import pytest

from ap3.errors import UserError
from ap3.files import storage, streams

FORMS = {
    "bytes": ((3,), "uint8"),
    "labels": ((5,), "int64"),
    "views": ((2, 5, 3), "float16"),
    "wide": ((5, 2), "float32"),
}


def arrays():
    draw = np.random.default_rng(0)
    return {name: (50 * draw.random(shape)).astype(dtype) for name, (shape, dtype) in FORMS.items()}


def in_pieces(made):
    yield "labels", made["labels"]
    for view in made["views"]:
        yield "views", view[:2]
        yield "views", view[2:]
    for row in made["wide"]:
        yield "wide", row
    yield "bytes", made["bytes"]


def test_storage_reads_what_was_written_piece_by_piece(tmp_path):
    made, path = arrays(), tmp_path / "a.safetensors"
    streams.save(path, FORMS, in_pieces(made), views=2)
    found, metadata = storage.load(path)
    assert metadata == {"views": 2}
    assert set(found) == set(made)
    for name, array in made.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_streams_verify_and_read_what_storage_wrote(tmp_path):
    made, path = arrays(), tmp_path / "a.safetensors"
    storage.save(path, made, views=2)
    streams.verify(path)
    for index in range(2):
        np.testing.assert_array_equal(streams.row(path, "views", index), made["views"][index])


def test_same_content_is_same_bytes(tmp_path):
    for name in ("a", "b"):
        streams.save(tmp_path / f"{name}.safetensors", FORMS, in_pieces(arrays()))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("place", [-1, -40])
def test_a_flipped_bit_is_noticed(tmp_path, place):
    path = tmp_path / "a.safetensors"
    streams.save(path, FORMS, in_pieces(arrays()))
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        streams.verify(path)


def test_what_fails_half_way_leaves_nothing(tmp_path):
    def broken():
        yield "labels", arrays()["labels"]
        raise UserError("stopped.")

    with pytest.raises(UserError, match="stopped"):
        streams.save(tmp_path / "a.safetensors", FORMS, broken())
    with pytest.raises(ValueError, match="views has 0 bytes, but 60 were announced"):
        streams.save(tmp_path / "a.safetensors", {"views": FORMS["views"]}, [])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        streams.row(tmp_path / "a.safetensors", "views", 0)


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Sixteen views of 16 MB each; the process may grow by six of them at most."""
    views, rows, width = 16, 1000, 4000
    form = {"views": ((views, rows, width), "float32")}
    block = np.ones((rows, width), "float32")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / "a.safetensors"
    streams.save(path, form, (("views", block * index) for index in range(views)))
    streams.verify(path)
    means = [streams.row(path, "views", index).mean() for index in range(views)]
    assert means == list(range(views))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 6 * block.nbytes
