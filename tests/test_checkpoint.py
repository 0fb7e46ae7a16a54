"""Files of a run: whole or refused. A failed write loses nothing, nothing is half-loaded."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.checkpoint import (
    DamagedFileError,
    ForeignFileError,
    Run,
    RunInUseError,
    load_tensors,
    save_tensors,
    write_atomic,
)

nn = mg.nn

TENSORS: dict[str, np.ndarray] = {
    "generator.0.weight": np.arange(6, dtype="float32").reshape(2, 3) - 2.5,
    "step": np.array(7, dtype="int64"),  # no axes
    "wide": np.array([1e-300, -0.0, np.inf], dtype="float64"),
    "empty": np.zeros((0, 3), "float32"),
}
INFO: dict[str, Any] = {
    "steps_done": 12,
    "rng": {"latent": {"state": 2**127 + 1, "name": "größe"}},
    "nothing": None,
}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Names, dtypes, shapes and bits (−0 is not 0 here)."""

    def described(tensors: dict[str, np.ndarray]) -> dict[str, tuple[Any, ...]]:
        return {name: (x.dtype, x.shape, x.tobytes()) for name, x in tensors.items()}

    return described(a) == described(b)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, INFO)
    return path


# --- Round trips ----------------------------------------------------------------------------------


def test_there_and_back(saved: Path) -> None:
    tensors, info = load_tensors(saved)
    assert same(tensors, TENSORS)
    assert info == INFO


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0), (1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_any_shape_and_dtype(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    save_tensors(tmp_path / "x", {"a": np.ones(shape, dtype)})
    tensors, info = load_tensors(tmp_path / "x")
    assert same(tensors, {"a": np.ones(shape, dtype)}) and info == {}


@given(st.integers(0, 3), st.permutations(range(3)), st.integers(1, 3))
def test_any_memory_layout(
    tmp_path_factory: pytest.TempPathFactory, first: int, order: list[int], stride: int
) -> None:
    array = np.arange(4 * 3 * 5, dtype="float32").reshape(4, 3, 5).transpose(order)[:, ::stride]
    path = tmp_path_factory.getbasetemp() / "layout"
    save_tensors(path, {"x": array, "y": array[first % len(array)]})
    assert same(load_tensors(path)[0], {"x": array, "y": array[first % len(array)]})


@pytest.mark.parametrize("order", "<>")
def test_any_byte_order(order: str, tmp_path: Path) -> None:
    array = np.arange(3).astype(f"{order}f4")
    save_tensors(tmp_path / "x", {"x": array})
    mg.save({"x": array}, tmp_path / "y")
    assert same(load_tensors(tmp_path / "x")[0], {"x": np.arange(3, dtype="float32")})
    assert mg.load(tmp_path / "y")["x"].numpy().tolist() == [0, 1, 2]


def test_the_state_of_an_optimiser(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    adam = mg.optim.Adam(layer.parameters())
    layer(mg.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    adam.step()
    state = {name: value.numpy() for name, value in adam.state_dict().items()}
    save_tensors(tmp_path / "x", state)
    back, _ = load_tensors(tmp_path / "x")
    assert same(back, state)
    other = mg.optim.Adam(layer.parameters())
    other.load_state_dict(back)
    assert same({k: v.numpy() for k, v in other.state_dict().items()}, state)


WRITER = """
import sys, numpy as np
from pathlib import Path
from minigan.checkpoint import save_tensors
names = {"a", "bb", "ccc", "dddd", "eeeee", "ffffff"}  # their order depends on the hash seed
tensors = {name: np.full((3, len(name)), len(name), "float32") for name in sorted(names)}
save_tensors(Path(sys.argv[1]), tensors, {"z": 1, "a": {"y": [1, 2], "b": None}})
print(*names)
"""


def test_save_and_load_of_modules_optimisers_and_states(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to("float64")
    adam = mg.optim.Adam(net.parameters())
    adam.minimize((net(mg.tensor([[1.0, 2.0], [3.0, 5.0]], dtype="float64")) ** 3).sum())
    for thing, path in (
        (net, tmp_path / "net"),
        (adam, str(tmp_path / "adam")),
        (net.state_dict(), tmp_path / "state"),
        ({k: v.numpy() for k, v in net.state_dict().items()}, tmp_path / "arrays"),
        ({}, tmp_path / "nothing"),
        (TENSORS, tmp_path / "tensors"),
    ):
        state = thing.state_dict() if hasattr(thing, "state_dict") else thing
        assert mg.save(thing, path) is None
        found = mg.load(path)
        assert all(type(v) is mg.Tensor and not v.requires_grad for v in found.values())
        arrays = {k: v.numpy() if isinstance(v, mg.Tensor) else v for k, v in state.items()}
        assert same({k: found[k].numpy() for k in arrays}, arrays) and len(found) == len(arrays)
    other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to("float64")
    other.load_state_dict(mg.load(tmp_path / "net"))
    mg.optim.Adam(other.parameters()).load_state_dict(mg.load(tmp_path / "adam"))
    assert (other[0].weight.numpy() == net[0].weight.numpy()).all()
    mg.load(tmp_path / "net")["0.weight"].copy_(np.zeros((3, 2)))  # it can be written to


def test_what_save_wrote_before_runs_had_a_new_format_is_read(tmp_path: Path) -> None:
    """The format of such files is their own: 2, whatever that of a run is."""
    save_tensors(tmp_path / "old", TENSORS, format_=2)
    mg.save(TENSORS, tmp_path / "new")
    assert (tmp_path / "old").read_bytes() == (tmp_path / "new").read_bytes()
    assert same({k: v.numpy() for k, v in mg.load(tmp_path / "old").items()}, TENSORS)


def test_pytorch_reads_what_save_writes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    net = nn.Linear(2, 3)
    mg.save(net, tmp_path / "net.safetensors")
    twin = torch.nn.Linear(2, 3)
    twin.load_state_dict(load_file(tmp_path / "net.safetensors"))
    assert (twin.weight.detach().numpy() == net.weight.numpy()).all()


def test_save_and_load_name_what_is_wrong(tmp_path: Path) -> None:
    path, folder = tmp_path / "x", tmp_path / "no folder" / "x"
    for state, words in (
        ([1.0], r"save: state must be a Module or a state_dict, got \[1.0\]"),
        (mg.tensor([1.0]), "save: state must be .*, got Tensor"),
        ({"a": 1.0}, "save: 'a' in the state must be a Tensor or an array, got 1.0"),
        ({"a": np.array(["b"])}, "save: 'a' in the state must be a Tensor or an array"),
        ({1: mg.tensor([1.0])}, "save: a name in the state must be a str, got 1"),
    ):
        with pytest.raises(TypeError, match=words):
            mg.save(state, path)
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match="no folder"):
        mg.save({}, folder)
    with pytest.raises(FileNotFoundError, match="x: no such file"):
        mg.load(str(path))
    mg.save(nn.Linear(2, 3), path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match="x: damaged"):
        mg.load(path)


@pytest.mark.on_the_host("starts processes of its own")
def test_the_same_content_is_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    orders, files = [], []
    for seed in ("1", "2"):
        path = tmp_path / seed
        done = subprocess.run(
            [sys.executable, "-c", WRITER, str(path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        orders.append(done.stdout)
        files.append(path.read_bytes())
    assert orders[0] != orders[1]
    assert files[0] == files[1]


def test_the_order_of_names_does_not_matter_to_the_digest(tmp_path: Path) -> None:
    save_tensors(tmp_path / "x", dict(reversed(TENSORS.items())), INFO)
    assert same(load_tensors(tmp_path / "x")[0], TENSORS)


# --- Damage ---------------------------------------------------------------------------------------


def load_or_refuse(path: Path, content: bytes) -> str:
    """ "refused" or "the same"; anything else is an AssertionError."""
    path.write_bytes(content)
    try:
        tensors, info = load_tensors(path)
    except (DamagedFileError, ForeignFileError) as error:
        assert str(path) in str(error)
        return "refused"
    assert same(tensors, TENSORS) and info == INFO, "altered content was loaded"
    return "the same"


def test_every_truncation_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    lengths = sorted({0, 1, 7, 8, 9, len(whole) - 1, *range(0, len(whole), len(whole) // 30)})
    assert len(lengths) > 30
    assert [n for n in lengths if load_or_refuse(saved, whole[:n]) != "refused"] == []
    assert load_or_refuse(saved, whole) == "the same"


@pytest.mark.parametrize("extra", [b"\0", b"x", b"\0" * 8, b"{}" * 100])
def test_more_bytes_are_refused(saved: Path, extra: bytes) -> None:
    assert load_or_refuse(saved, saved.read_bytes() + extra) == "refused"


@pytest.mark.parametrize("mask", [0x01, 0x04, 0x80])
def test_a_flipped_bit_anywhere_is_noticed(saved: Path, mask: int) -> None:
    whole = saved.read_bytes()
    wrong, unnoticed = [], 0
    for i in range(len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= mask
        try:
            unnoticed += load_or_refuse(saved, bytes(damaged)) == "the same"
        except AssertionError:
            wrong.append(f"{i}: {whole[max(0, i - 12) : i + 12]!r}")
    assert wrong == []
    assert unnoticed < 16  # blanks that pad the header may be other blanks


@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1),
)
def test_overwritten_bytes_are_noticed(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "overwritten"
    save_tensors(path, TENSORS, INFO)
    damaged = bytearray(path.read_bytes())
    for where, value in changes:
        damaged[int(where * len(damaged))] = value
    load_or_refuse(path, bytes(damaged))


@pytest.mark.parametrize("name", [b"I32", b"U32", b"F16", b"F64", b"C64", b"X32", b"f32"])
def test_another_dtype_in_the_header_is_refused(saved: Path, name: bytes) -> None:
    whole = saved.read_bytes()
    assert whole.count(b'"F32"') == 2
    assert load_or_refuse(saved, whole.replace(b'"F32"', b'"' + name + b'"')) == "refused"


def test_exchanged_tensors_are_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    save_tensors(saved, {"a": np.zeros(2, "float32"), "b": np.ones(2, "float32")})
    content = saved.read_bytes()
    swapped = content.replace(b'"a"', b'"?"').replace(b'"b"', b'"a"').replace(b'"?"', b'"b"')
    assert swapped != content and load_or_refuse(saved, swapped) == "refused"
    assert load_or_refuse(saved, whole) == "the same"


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"format": "pt"}, {"minigan": "{}"}, {"minigan": "[]"}, {"minigan": "no JSON"},
     {"minigan": "null"}, {"minigan": '{"sha256": null, "info": {}}'}],
)  # fmt: skip
def test_files_of_others_are_refused(metadata: Any, tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    safetensors.numpy.save_file({"w": np.ones(3, "float32")}, path, metadata=metadata)
    with pytest.raises(DamagedFileError, match="theirs"):
        load_tensors(path)


@pytest.mark.parametrize("content", [b"not tensors at all", b"\x80\x04.", b"\0" * 100])
def test_files_of_another_kind_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="other"):
        load_tensors(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_tensors(tmp_path / "nowhere")


# --- Writing --------------------------------------------------------------------------------------


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failed_write_leaves_what_was(
    call: str, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    if exists:
        write_atomic(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            write_atomic(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"] * exists
    assert not exists or path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_content_is_synced_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, events = tmp_path / "file", []
    replace = os.replace
    path.write_bytes(b"old")

    def fsync(descriptor: int) -> None:
        events.append(("fsync", os.fstat(descriptor).st_size, path.read_bytes()))

    def rename(source: Path, target: Path) -> None:
        events.append(("replace", Path(source).stat().st_size, Path(target).read_bytes()))
        assert Path(source).parent == Path(target).parent  # a rename within one file system
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)
    write_atomic(path, b"new content")
    assert events[:2] == [("fsync", 11, b"old"), ("replace", 11, b"old")]
    folder = tmp_path.stat().st_size
    assert events[2:] == [("fsync", folder, b"new content")]  # and the renaming


def test_writing_into_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "none" / "file", b"x")


# --- Run ------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs" / "one", {"model": "small", "arguments": {"lr": 0.1}})


def test_create_and_open(run: Run) -> None:
    again = Run.open(run.path)
    assert again.config == run.config == {
        "format": 3, "model": "small", "arguments": {"lr": 0.1}
    }  # fmt: skip
    assert [p.name for p in run.path.iterdir()] == ["config.json"]


def test_create_takes_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert Run.create(tmp_path / "empty", {}).path == tmp_path / "empty"


@pytest.mark.parametrize("content", ["config.json", "notes.txt", ".hidden"])
def test_create_refuses_a_directory_with_anything_in_it(content: str, tmp_path: Path) -> None:
    (tmp_path / content).write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        Run.create(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir()] == [content]
    assert (tmp_path / content).read_text() == "mine"


def test_create_refuses_a_run(run: Run) -> None:
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(FileExistsError):
        Run.create(run.path, {"model": "other"})
    assert (run.path / "config.json").read_bytes() == before


def test_create_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError):
        Run.create(tmp_path / "file", {})
    assert (tmp_path / "file").read_text() == "mine"


def test_open_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(FileNotFoundError, match="holds no run"):
            Run.open(path)


@pytest.mark.parametrize("change", [("0.1", "0.2"), ("small", "smell"), ("lr", "lR")])
def test_open_a_config_that_was_changed(change: tuple[str, str], run: Run) -> None:
    path = run.path / "config.json"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DamagedFileError, match=r"config\.json: .* SHA-256"):
        Run.open(run.path)


def test_open_a_run_of_another_format(run: Run) -> None:
    path = run.path / "config.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 2'))
    with pytest.raises(ForeignFileError, match=r"config\.json: format 2, this .* format 3"):
        Run.open(run.path)


# --- One writer -----------------------------------------------------------------------------------


def test_a_claimed_run_cannot_be_claimed_again_but_read(run: Run) -> None:
    with run.claimed():
        other = Run.open(run.path)
        with (
            pytest.raises(RunInUseError, match=r"one is in use by another process"),
            other.claimed(),
        ):
            pass
    with other.claimed():
        pass
    assert [p.name for p in run.path.iterdir()] == ["config.json"]


def test_the_claim_of_a_killed_process_ends_with_it(run: Run) -> None:
    script = (
        "import os, pathlib, signal, sys; from minigan.checkpoint import Run\n"
        "with Run.open(pathlib.Path(sys.argv[1])).claimed(): print('mine', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(run.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout and process.stdout.readline() == "mine\n"
        with pytest.raises(RunInUseError), run.claimed():
            pass
        with pytest.raises(FileExistsError):
            Run.create(run.path, {})
        process.kill()
    with run.claimed():
        pass


def test_what_a_killed_process_left_half_written_is_removed(run: Run) -> None:
    (run.path / "samples").mkdir()
    (run.path / ".minigan.matplotlib.x.partial" / "fonts").mkdir(parents=True)
    (run.path / ".minigan.link.partial").symlink_to(run.path / "samples")
    for name in (".minigan.a.1.partial", "samples/.minigan.b.1.partial", ".mine.partial"):
        (run.path / name).write_bytes(b"half")
    with run.claimed():
        assert sorted(p.name for p in run.path.rglob("*")) == [
            ".lock", ".mine.partial", "config.json", "samples"
        ]  # fmt: skip


def test_create_where_a_process_was_killed_before_it_wrote_anything(tmp_path: Path) -> None:
    for name in (".lock", ".minigan.config.json.1.partial"):
        (tmp_path / name).write_bytes(b"")
    Run.create(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"model": "mlp"}', '{"format": 3}', '"format"', "[" * 100_000,
     '{"format": 3, "sha256": 1}'],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_open_a_damaged_run(text: str, run: Run) -> None:
    (run.path / "config.json").write_text(text)
    with pytest.raises(DamagedFileError, match=r"config\.json"):
        Run.open(run.path)


def test_open_bytes_that_are_no_text(run: Run) -> None:
    (run.path / "config.json").write_bytes(b'{"format": 1, "\xff": 0}')
    with pytest.raises(DamagedFileError, match=r"config\.json"):
        Run.open(run.path)


def state(step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    return {"w": np.full(3, step, "float32")}, {"steps_done": step}


def names(run: Run) -> list[str]:
    return sorted(p.name for p in run.path.iterdir() if "checkpoint" in p.name)


def test_the_checkpoint_before_is_kept(run: Run) -> None:
    with pytest.raises(FileNotFoundError):
        run.load_checkpoint()
    run.save_checkpoint(*state(1))
    assert names(run) == ["checkpoint.safetensors"]
    for step in (2, 3):
        run.save_checkpoint(*state(step))
        assert names(run) == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]
        tensors, info, warning = run.load_checkpoint()
        assert info == {"steps_done": step} and warning == "" and tensors["w"][0] == step
        assert (
            load_tensors(run.path / "checkpoint.previous.safetensors")[1]["steps_done"] == step - 1
        )


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing", "empty"])
def test_the_previous_checkpoint_steps_in_and_it_is_said(damage: str, run: Run) -> None:
    run.save_checkpoint(*state(1))
    run.save_checkpoint(*state(2))
    content = run.checkpoint_path.read_bytes()
    if damage == "missing":
        run.checkpoint_path.unlink()
    else:
        altered = content[:-1] + bytes([content[-1] ^ 1])
        new = {"truncated": content[:-1], "altered": altered, "empty": b""}[damage]
        run.checkpoint_path.write_bytes(new)
    tensors, info, warning = run.load_checkpoint()
    assert info == {"steps_done": 1} and tensors["w"].tolist() == [1.0] * 3
    assert "checkpoint.safetensors" in warning and "checkpoint.previous.safetensors" in warning


def test_two_damaged_checkpoints_are_an_error(run: Run) -> None:
    run.save_checkpoint(*state(1))
    run.save_checkpoint(*state(2))
    for name in names(run):
        (run.path / name).write_bytes(b"garbage")
    both = r"/checkpoint\.safetensors.*/checkpoint\.previous\.safetensors"
    with pytest.raises(DamagedFileError, match=both):
        run.load_checkpoint()


def test_a_checkpoint_of_another_format_is_refused_and_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save_checkpoint(*state(1))
    with monkeypatch.context() as patch:
        patch.setattr(save_tensors, "__defaults__", (None, 4))
        run.save_checkpoint(*state(2))
    with pytest.raises(ForeignFileError, match=r"/checkpoint\.safetensors: format 4, this"):
        run.load_checkpoint()


def test_a_checkpoint_of_another_run_is_refused(run: Run, tmp_path: Path) -> None:
    other = Run.create(tmp_path / "other", {"model": "small", "arguments": {"lr": 0.2}})
    other.save_checkpoint(*state(9))
    run.save_checkpoint(*state(1))
    run.save_checkpoint(*state(2))
    run.checkpoint_path.write_bytes(other.checkpoint_path.read_bytes())
    with pytest.raises(ForeignFileError, match=r"another run's.*its lr is 0\.2, not 0\.1"):
        run.load_checkpoint()


def test_what_was_chosen_of_the_model_is_told_apart_by_its_names(run: Run, tmp_path: Path) -> None:
    """A name's hyperparameters, or the numbers of a model that was built in Python."""
    for i, (mine, theirs) in enumerate((
        ({"arguments": {"hyperparameters": {"lr": 0.1, "width": 8}}, "values": {"lr": 0.1}},
         {"arguments": {"hyperparameters": {"lr": 0.2, "width": 8}}, "values": {"lr": 0.2}}),
        ({"arguments": {"hyperparameters": None}, "values": {"lr": 0.1}},
         {"arguments": {"hyperparameters": None}, "values": {"lr": 0.2}}),
    )):  # fmt: skip
        runs = [Run.create(tmp_path / f"{i}{j}", c) for j, c in enumerate((mine, theirs))]
        runs[1].save_checkpoint(*state(1))
        runs[0].checkpoint_path.write_bytes(runs[1].checkpoint_path.read_bytes())
        with pytest.raises(ForeignFileError, match=r"another run's; its lr is 0\.2, not 0\.1$"):
            runs[0].load_checkpoint()


def test_a_longer_run_is_the_same_run(run: Run) -> None:
    run.config["arguments"] = {"lr": 0.1, "epochs": 2, "steps": None}
    run.save_checkpoint(*state(1))
    run.config["arguments"] = {"lr": 0.1, "epochs": 3, "steps": None}
    assert run.load_checkpoint()[1] == state(1)[1]


@pytest.mark.parametrize("when", [1, 2, 3])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_checkpoint_that_cannot_be_written_loses_nothing(
    call: str, when: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save_checkpoint(*state(1))
    run.save_checkpoint(*state(2))
    real, calls = getattr(os, call), []

    def fails(*arguments: Any) -> Any:
        calls.append(arguments)
        return full() if len(calls) == when else real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        try:
            run.save_checkpoint(*state(3))
            expected = 3
        except OSError:
            expected = 2
    assert (expected == 2) == (len(calls) >= when)
    _, info, _ = run.load_checkpoint()
    assert info["steps_done"] in (expected, 3)
    run.save_checkpoint(*state(4))
    assert run.load_checkpoint()[1:] == ({"steps_done": 4}, "")
    assert names(run) == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]
    leftover = [p.name for p in run.path.iterdir() if p.name.startswith(".")]
    assert leftover == []


def test_a_file_that_is_as_it_should_be_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_atomic(path, b"abc")
    os.utime(path, ns=(1, 1))
    write_atomic(path, b"abc")
    assert path.stat().st_mtime_ns == 1
    for other in (b"abd", b"ab", b"abcd", b""):
        write_atomic(path, other)
        assert path.read_bytes() == other and path.stat().st_mtime_ns > 1


# --- History --------------------------------------------------------------------------------------


def test_rows_come_back(run: Run) -> None:
    assert run.rows("history.csv") == []
    rows = [{"step": i, "d_loss": 1 / (i + 1), "g": 1e-30 * i} for i in range(5)]
    for row in rows:
        run.append("history.csv", row)
    assert run.rows("history.csv") == rows  # to the last digit
    text = (run.path / "history.csv").read_text()
    assert text.startswith("step,d_loss,g\n0,1.0,0.0\n") and text.count("\n") == 6


@pytest.mark.parametrize("text", ["step,d_loss\n1\n", "step,d_loss\n1,2,3\n", "step\none\n"])
def test_a_damaged_history(text: str, run: Run) -> None:
    (run.path / "history.csv").write_text(text)
    with pytest.raises(DamagedFileError, match=r"history\.csv"):
        run.rows("history.csv")


STEPS = (50, 100, 150)


def logged(run: Run) -> bytes:
    """A history of three rows and the times for it; the history's content."""
    for step in STEPS:
        run.append("history.csv", {"step": step, "d_loss": -1.5e-30 * step})
        run.append("timing.csv", {"step": step, "seconds": 0.5, "rate": 100.0})
    return (run.path / "history.csv").read_bytes()


def steps(run: Run, name: str) -> list[float]:
    return [row["step"] for row in run.rows(name)]


@pytest.mark.parametrize(("last", "kept"), [(0, []), (50, [50]), (99, [50]), (100, [50, 100])])
def test_rows_after_the_checkpoint_are_forgotten(last: int, kept: list[int], run: Run) -> None:
    logged(run)
    history = (run.path / "history.csv").read_bytes()
    assert run.restore_logs(history, last) == []
    for name in ("history.csv", "timing.csv"):
        assert steps(run, name) == kept
        assert (run.path / name).read_bytes().startswith(b"step,")  # whatever is appended


def test_a_row_cut_off_by_a_crash_is_forgotten(run: Run) -> None:
    history = logged(run)
    for name in ("history.csv", "timing.csv"):
        with open(run.path / name, "a") as file:
            file.write("160,0.1")  # of 0.125
    assert run.restore_logs(history, 150) == []
    for name in ("history.csv", "timing.csv"):
        assert tuple(steps(run, name)) == STEPS


@pytest.mark.parametrize("damage", [b"", b"step,", b"\xff\x00" * 20, None])
def test_a_damaged_history_is_restored_and_it_is_said(damage: bytes | None, run: Run) -> None:
    history = logged(run)
    for name in ("history.csv", "timing.csv"):
        (run.path / name).unlink() if damage is None else (run.path / name).write_bytes(damage)
    warnings = run.restore_logs(history, 150)
    assert (run.path / "history.csv").read_bytes() == history
    assert steps(run, "timing.csv") == []
    assert [w.split(": ")[0] for w in warnings] == [
        str(run.path / name) for name in ("history.csv", "timing.csv")
    ]


def test_a_changed_digit_in_a_history_is_noticed(run: Run) -> None:
    history = logged(run)
    (run.path / "history.csv").write_bytes(history.replace(b"-1.5e-28", b"-1.6e-28"))
    (warning,) = run.restore_logs(history, 150)
    assert "history.csv" in warning and (run.path / "history.csv").read_bytes() == history


def test_rows_of_the_clock_that_can_be_read_are_kept(run: Run) -> None:
    history = logged(run)
    clock = run.path / "timing.csv"
    clock.write_bytes(clock.read_bytes().replace(b"100,0.5", b"100,half"))
    (warning,) = run.restore_logs(history, 150)
    assert "timing.csv" in warning and steps(run, "timing.csv") == [50, 150]


def test_a_run_without_a_checkpoint_starts_its_history_anew(run: Run) -> None:
    logged(run)
    assert run.restore_logs(b"", 0) == []
    run.append("history.csv", {"step": 6, "d_loss": 1.5})
    assert (run.path / "history.csv").read_text() == "step,d_loss\n6,1.5\n"
    assert run.rows("timing.csv") == []


@pytest.mark.parametrize("damage", [b"", b"step,", None])
def test_a_log_that_others_change_is_mended(damage: bytes | None, run: Run) -> None:
    """What the run knows it has in memory: a checkpoint takes nothing over from the disk."""
    logged(run)
    before = {name: (run.path / name).read_bytes() for name in ("history.csv", "timing.csv")}
    for name in before:
        (run.path / name).unlink() if damage is None else (run.path / name).write_bytes(damage)
    run.append("history.csv", {"step": 200, "d_loss": 0.5})
    run.save_checkpoint(*state(1))
    history = before["history.csv"] + b"200,0.5\n"
    assert run.load_checkpoint()[0]["history.csv"].tobytes() == history
    assert [w.split(": ")[0] for w in run.mend_logs()] == [str(run.path / n) for n in before]
    assert (run.path / "history.csv").read_bytes() == history
    assert (run.path / "timing.csv").read_bytes() == before["timing.csv"]
    assert run.mend_logs() == []


def test_a_rows_values_stand_under_their_names(run: Run) -> None:
    run.append("history.csv", {"step": 50, "d_loss": 1.0, "g_loss": np.float32(2.5)})
    run.append("history.csv", {"g_loss": math.nan, "step": np.int64(100), "d_loss": -math.inf})
    for other in (run, Run.open(run.path)):  # whose heading is in memory, or on the disk
        before = (run.path / "history.csv").read_bytes()
        for row, told in (
            ({"step": 150, "d_loss": 1.0, "r1": 3.0}, "lacks g_loss of them and adds r1$"),
            ({"step": 150, "d_loss": 1.0}, "heading, step,d_loss,g_loss; .*lacks g_loss .*none$"),
            ({"step": 150, "d_loss": 1.0, "g_loss": 2.0, "r1": 3.0}, "lacks none .* adds r1$"),
        ):
            with pytest.raises(ValueError, match=rf"history\.csv: .*{told}"):
                other.append("history.csv", row)
        assert (run.path / "history.csv").read_bytes() == before
        other.append("history.csv", {"d_loss": 1.0, "g_loss": 0.5, "step": 200})
    text = "step,d_loss,g_loss\n50,1.0,2.5\n100,-inf,nan\n" + 2 * "200,1.0,0.5\n"
    assert (run.path / "history.csv").read_text() == text
    run.restore_logs(text.encode(), 100)  # a NaN and an infinity are numbers as well
    assert (run.path / "history.csv").read_text() == text.partition("200")[0]


@pytest.mark.parametrize(
    "row",
    [
        {"step": 1},
        {"step": 1.0, "d_loss": 0.5},
        {"d_loss": 0.5, "step": 1},
        {"step": 1, "d_loss": None},
        {"step": 1, "d_loss": True},
        {"step": 1, "d_loss": "1,5"},
        {"step": 1, "d_loss": np.ones(2)},
    ],
)
def test_a_row_that_could_not_be_read_again(row: dict[str, Any], run: Run) -> None:
    with pytest.raises(ValueError, match=r"history\.csv: a row is a step and then numbers, got"):
        run.append("history.csv", row)
    assert not (run.path / "history.csv").exists()


@pytest.mark.parametrize("damage", ["step,d_loss\n50,0.5\n10", "step,d_loss", "50,0.5\n", "\xff\n"])
def test_nothing_is_added_to_a_damaged_log(damage: str, run: Run) -> None:
    path = run.path / "history.csv"
    path.write_text(damage, encoding="latin-1")
    with pytest.raises(ValueError, match=r"history\.csv"):
        Run.open(run.path).append("history.csv", {"step": 100, "d_loss": 0.5})
    assert path.read_text(encoding="latin-1") == damage


def test_a_row_that_cannot_be_written_names_the_file(run: Run) -> None:
    (run.path / "history.csv").mkdir()
    with pytest.raises(OSError, match=r"history\.csv"):
        run.append("history.csv", {"step": 1, "d_loss": 0.5})


def test_a_checkpoint_holds_the_history_so_far(run: Run) -> None:
    history = logged(run)
    run.save_checkpoint(*state(1))
    run.append("history.csv", {"step": 200, "d_loss": 1.5})
    assert run.load_checkpoint()[0]["history.csv"].tobytes() == history


# --- Weights --------------------------------------------------------------------------------------


def generator(width: int = 6) -> nn.Sequential:
    first = (nn.Linear(4, width, bias=False), nn.BatchNorm1d(width), nn.ReLU())
    return nn.Sequential(*first, nn.Linear(width, 3), nn.Tanh())


@pytest.fixture
def trained() -> nn.Sequential:
    mg.manual_seed(5)
    module = generator()
    module(mg.tensor(np.random.default_rng(0).standard_normal((32, 4)).astype("float32")))
    return module


def weights(module: nn.Sequential) -> dict[str, np.ndarray]:
    """As in a training state, where the other player and the optimisers stand beside it."""
    mine = {f"generator.{name}": value.numpy() for name, value in module.state_dict().items()}
    return mine | {"g_optimizer.0.step": np.zeros(()), "discriminator.w": np.ones(2)}


PLAYERS = ("generator", "discriminator")
VALUES = {"latent_dim": 4, "ratio": 0.1, "sizes": [1, 2], "none": None}


def test_weights_come_back(run: Run, trained: nn.Sequential) -> None:
    run.save_weights(PLAYERS, weights(trained), VALUES)
    other = generator()
    assert run.load_weights("generator", other) == VALUES
    assert same(
        {k: v.numpy() for k, v in other.state_dict().items()},
        {k: v.numpy() for k, v in trained.state_dict().items()},
    )


def test_weights_carry_their_digest_in_the_metadata(run: Run, trained: nn.Sequential) -> None:
    run.save_weights(PLAYERS, weights(trained), VALUES)
    with safetensors.safe_open(run.path / "generator.safetensors", framework="numpy") as file:
        meta = json.loads(file.metadata()["minigan"])
    assert len(bytes.fromhex(meta["sha256"])) == 32
    identity = {"model": "small", "lr": 0.1, "data_sha256": None}
    assert meta["info"] == {"run": identity, "values": VALUES}


def test_nets_whose_files_would_be_one_are_refused(run: Run) -> None:
    arrays = {f"{net}.w": np.ones(2) for net in ("generator", "Generator", "checkpoint")}
    for nets, other in ((("generator", "Generator"), "generator"), (("checkpoint",), "checkpoint")):
        with pytest.raises(ValueError, match=rf"{nets[-1]} cannot be .* {other}\.safetensors"):
            run.save_weights(nets, arrays, {})


def test_the_digest_of_all_weights_is_that_of_the_nets(run: Run, trained: nn.Sequential) -> None:
    run.save_weights(PLAYERS, weights(trained), VALUES)
    before = run.weights_sha256()
    run.save_checkpoint(*state(1))
    run.save_checkpoint(*state(2))
    assert run.weights_sha256() == before
    run.save_weights(PLAYERS, weights(trained) | {"discriminator.w": np.zeros(2)}, VALUES)
    assert run.weights_sha256() != before


@pytest.mark.parametrize("other", [{"arguments": {"lr": 0.2}}, {"data_sha256": "ab"}])
def test_weights_of_another_run_are_refused(
    other: dict[str, Any], run: Run, trained: nn.Sequential
) -> None:
    run.save_weights(PLAYERS, weights(trained), VALUES)
    run.config |= other
    with pytest.raises(ForeignFileError, match=r"generator\.safetensors: another run's"):
        run.load_weights("generator", generator())


def test_the_same_run_may_find_its_data_elsewhere(run: Run) -> None:
    run.config["arguments"]["data"] = "here"
    run.save_checkpoint(*state(1))
    run.config["arguments"]["data"] = "there"
    assert run.load_checkpoint()[1] == state(1)[1]


def test_weights_of_another_architecture_are_refused(run: Run, trained: nn.Sequential) -> None:
    run.save_weights(PLAYERS, weights(trained), VALUES)
    other = generator(width=7)
    before = {k: v.numpy() for k, v in other.state_dict().items()}
    with pytest.raises(DamagedFileError, match=r"generator\.safetensors.*\n.*wrong shape"):
        run.load_weights("generator", other)
    assert same({k: v.numpy() for k, v in other.state_dict().items()}, before)  # all or nothing


def test_pytorch_reads_the_weights(run: Run, trained: nn.Sequential) -> None:
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    run.save_weights(PLAYERS, weights(trained), VALUES)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 6, bias=False),
        torch.nn.BatchNorm1d(6),
        torch.nn.ReLU(),
        torch.nn.Linear(6, 3),
        torch.nn.Tanh(),
    )
    theirs.load_state_dict(load_file(run.path / "generator.safetensors"))
    x = np.random.default_rng(1).standard_normal((5, 4)).astype("float32")
    with torch.no_grad():
        reference = theirs.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(trained.eval()(mg.tensor(x)).numpy(), reference, atol=1e-6)


# Each of these was wrong once.


def test_a_damaged_checkpoint_never_takes_the_place_of_the_intact_one(run: Run) -> None:
    for step in (1, 2):
        run.save_checkpoint(*state(step))
    run.checkpoint_path.write_bytes(b"damaged")
    again = Run.open(run.path)
    assert again.load_checkpoint()[1] == state(1)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigan.checkpoint.save_tensors", full)
        with pytest.raises(OSError, match="No space"):
            again.save_checkpoint(*state(2))
    assert Run.open(run.path).load_checkpoint()[1] == state(1)[1]
    for step in (2, 3):
        again.save_checkpoint(*state(step))
        assert Run.open(run.path).load_checkpoint()[1] == state(step)[1]
    assert load_tensors(run.previous_path)[1]["steps_done"] == 2  # damaged no more, so kept


def test_the_newest_checkpoint_is_there_at_every_moment_of_a_save(run: Run) -> None:
    run.save_checkpoint(*state(1))
    run.save_checkpoint(*state(2))
    real, seen = os.replace, []

    def replace(source: Any, target: Any) -> None:
        seen.append(Run.open(run.path).load_checkpoint()[1:] == (state(2)[1], ""))
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace)
        run.save_checkpoint(*state(3))
    assert seen == [True, True]


@pytest.mark.parametrize("has_links", [False, True])  # as a browser's Python has none
def test_a_file_system_without_links_keeps_the_previous_one_too(has_links: bool, run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", full) if has_links else patch.delattr(os, "link")
        for step in (1, 2):
            run.save_checkpoint(*state(step))
    assert load_tensors(run.previous_path)[1]["steps_done"] == 1
