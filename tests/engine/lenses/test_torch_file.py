"""Of a file of torch.save only tensors are read, and nothing in it is ever run."""

import io
import os
import pickle
import pickletools
import re
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.lenses.torch_file import read_tensors

import numpy as np
import pytest

LENSES = Path(__file__).parents[2] / "fixtures" / "published_lenses"
MOST = 1000


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        read_tensors(path, MOST)
    return str(refused.value)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_of_each_precision_read_as_their_numbers(dtype):
    found = read_tensors(LENSES / dtype / "params.pt", MOST)
    assert list(found) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert all(array.dtype == np.float32 for array in found.values())
    across = np.arange(4)
    for row in range(3):
        expected = 4 * row + across[:, None] + across / 4
        assert found[f"{row}.weight"].tolist() == expected.tolist()
        assert found[f"{row}.bias"].tolist() == (-row - across / 2).tolist()


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.parts = (function, arguments)

    def __reduce__(self):
        return self.parts


def archive(path: Path, data: bytes, compress: int = zipfile.ZIP_STORED, **storages: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compress) as made:
        made.writestr("archive/data.pkl", data)
        for key, content in storages.items():
            made.writestr(f"archive/data/{key.removeprefix('s')}", content)
    return path


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch ran",), "system"),
        (eval, ("open('ran', 'w')",), "eval"),
        (open, ("ran", "w"), "open"),
        (getattr, (OrderedDict, "__init__"), "getattr"),
        (np.load, ("x",), "load"),
        (pickle.loads, (b"N.",), "loads"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_asks_for_a_call_is_refused_and_nothing_runs(
    tmp_path, monkeypatch, function, arguments, named, protocol
):
    monkeypatch.chdir(tmp_path)
    bad = pickle.dumps({"0.weight": Call(function, *arguments)}, protocol)
    said = refusal(archive(tmp_path / "params.pt", bad))
    assert re.search(rf"asks for \w+\.{named}, which", said)
    assert "nothing of it was run" in said
    assert not (tmp_path / "ran").exists()


def test_what_the_reader_itself_hands_out_can_not_be_turned_against_it(tmp_path):
    """BUILD sets attributes of whatever is on the stack: what stands there has none."""
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n"
    for victim in (rebuild, b"ctorch\nFloatStorage\n"):
        for state in (b"}X\x08\x00\x00\x00__call__Nsb", b"N}X\x08\x00\x00\x00__call__Ns\x86b"):
            data = b"\x80\x02" + victim + state + b"."
            pickletools.dis(data, io.StringIO())  # it is a pickle
            assert "can't be read as tensors" in refusal(archive(tmp_path / "params.pt", data))


def number(value: int) -> bytes:
    return b"I" + str(value).encode() + b"\n"


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def word(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def a_tensor(
    count: int,
    offset: int = 0,
    shape: tuple[int, ...] = (2, 2),
    strides: tuple[int, ...] = (2, 1),
    kind: str = "FloatStorage",
) -> bytes:
    """The pickle of {"w": tensor} as torch writes it, opcode by opcode, with any numbers."""
    storage = b"(" + word("storage") + b"ctorch\n" + kind.encode() + b"\n" + word("0")
    storage += word("cpu") + number(count) + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset)
    tensor += numbers(shape) + numbers(strides) + b"\x89NtR"
    return b"\x80\x02}" + word("w") + tensor + b"s."


FOUR = np.arange(4, dtype=np.float32).tobytes()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (a_tensor(4), [[0, 1], [2, 3]]),
        (a_tensor(4, strides=(1, 2)), [[0, 2], [1, 3]]),  # transposed
        (a_tensor(4, offset=1, shape=(3,), strides=(1,)), [1, 2, 3]),
        (a_tensor(4, shape=(2, 2), strides=(0, 0)), [[0, 0], [0, 0]]),  # expanded
        (a_tensor(4, shape=(0, 2)), []),
        (a_tensor(4, offset=3, shape=(), strides=()), 3),
    ],
)
def test_a_view_of_a_storage_reads_as_torch_would(tmp_path, written, expected):
    path = archive(tmp_path / "params.pt", written, s0=FOUR)
    assert read_tensors(path, MOST)["w"].tolist() == expected


@pytest.mark.parametrize(
    "written",
    [
        a_tensor(4, offset=1),  # one past the end
        a_tensor(4, strides=(3, 1)),
        a_tensor(4, offset=-1),
        a_tensor(4, strides=(-2, 1)),
        a_tensor(4, shape=(2, 2, 1)),
        a_tensor(4, shape=(2**62, 2**62)),
        a_tensor(5),  # more than the file holds
        a_tensor(3, shape=(3,), strides=(1,)),  # less
        a_tensor(4, kind="HalfStorage"),
        b"\x80\x02N.",  # nothing
        b"\x80\x02" + word("text") + b".",
        b"\x80\x02}" + word("w") + number(1) + b"s.",  # no tensor
        b"\x80\x02(" + word("module") + b"tQ.",  # another kind of reference
        b"\x80\x02",
        b"",
        b"\x80\xff",
        b"\x82\x01.",  # an extension code
    ],
)
def test_a_tensor_outside_its_storage_and_a_broken_pickle_are_refused(tmp_path, written):
    path = archive(tmp_path / "params.pt", written, s0=FOUR)
    assert "can't be read as tensors of torch.save" in refusal(path)


@pytest.mark.parametrize("kind", ["DoubleStorage", "LongStorage", "UntypedStorage"])
def test_another_kind_of_storage_is_refused_by_its_name(tmp_path, kind):
    path = archive(tmp_path / "params.pt", a_tensor(4, kind=kind), s0=FOUR)
    assert f"asks for torch.{kind}" in refusal(path)


def test_more_numbers_than_a_lens_can_have_are_not_read(tmp_path):
    large = a_tensor(4, shape=(40, 40), strides=(0, 0))
    said = refusal(archive(tmp_path / "params.pt", large, s0=FOUR))
    assert "holds 1600 numbers, and a lens of its size has 1000 at most" in said


def test_a_compressed_archive_is_refused_before_it_grows(tmp_path):
    bomb = archive(tmp_path / "params.pt", a_tensor(4), zipfile.ZIP_DEFLATED, s0=bytes(10**6))
    assert "is compressed" in refusal(bomb)


@pytest.mark.parametrize("keep", [0, 10, 500, 1500, -30])
def test_a_file_that_was_cut_off_is_refused(tmp_path, keep):
    whole = (LENSES / "float32" / "params.pt").read_bytes()
    (tmp_path / "params.pt").write_bytes(whole[:keep])
    assert "can't be read as tensors" in refusal(tmp_path / "params.pt")


def test_any_byte_may_be_wrong_and_nothing_but_a_refusal_comes_of_it(tmp_path):
    """Every 13th byte changed in turn: tensors, or a refusal in words."""
    whole = (LENSES / "float32" / "params.pt").read_bytes()
    for at in range(0, len(whole), 13):
        broken = bytearray(whole)
        broken[at] ^= 0x55
        (tmp_path / "params.pt").write_bytes(broken)
        try:
            read_tensors(tmp_path / "params.pt", MOST)
        except BadInput:
            continue


def test_files_before_torch_1_6_and_from_big_endian_machines_are_refused(tmp_path):
    (tmp_path / "params.pt").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C))
    assert "torch 1.6 or newer" in refusal(tmp_path / "params.pt")
    shutil.copy(LENSES / "float32" / "params.pt", tmp_path / "params.pt")
    path = archive(tmp_path / "big.pt", a_tensor(4), s0=FOUR)
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("archive/byteorder", "big")
    assert "big-endian" in refusal(path)
