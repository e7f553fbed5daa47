import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobatch.models.ort.check_user_file import OnnxError, check_onnx
from isobatch.models.ort.external_data import FixedBatch
from isobatch.models.ort.session import open_session
from isobatch.models.shared.regular_files import Altered
from isobatch.models.user_graphs import GraphRunner
from tests.models.ort.small_onnx import classifier, pixels


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def with_external(folder: Path, location: str = "weights.bin", **entries: str) -> Path:
    """The small classifier whose first weight lies outside, at ``location``."""
    model = classifier()
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return saved(folder, model)


def test_an_intact_model_passes_with_the_digest_of_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path, classifier())
    checked = check_onnx(path)
    assert checked.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (checked.height, checked.width) == (None, None)
    assert checked.model.SerializeToString() == path.read_bytes()


def test_fixed_height_and_width_are_reported(tmp_path: Path) -> None:
    checked = check_onnx(saved(tmp_path, classifier(("n", 3, 24, 32))))
    assert (checked.height, checked.width) == (24, 32)


def test_external_data_inside_the_folder_is_read_and_hashed(tmp_path: Path) -> None:
    path = with_external(tmp_path)
    first = check_onnx(path)
    expected = numpy_helper.to_array(classifier().graph.initializer[0])
    assert np.array_equal(numpy_helper.to_array(first.model.graph.initializer[0]), expected)
    data = tmp_path / "weights.bin"
    data.write_bytes(bytes(len(data.read_bytes())))
    assert check_onnx(path).sha256 != first.sha256


def test_the_check_writes_nothing(tmp_path: Path) -> None:
    path = with_external(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*")}
    check_onnx(path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*")} == before


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = classifier().SerializeToString()
    path = tmp_path / "net.onnx"
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(OnnxError):
            check_onnx(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"import os\n" * 100, b"\x80\x04\x95"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(OnnxError, match=r"net\.onnx"):
        check_onnx(path)


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OnnxError, match="not a file"):
        check_onnx(tmp_path / name)


def outside(folder: Path) -> Path:
    """A file that the model must not reach, of the right size."""
    secret = folder.parent / f"{folder.name}-secret.bin"
    secret.write_bytes(bytes(classifier().graph.initializer[0].ByteSize()))
    return secret


@pytest.mark.parametrize("location", ["../{name}", "sub/../../{name}", "{path}", "", "..\\{name}", "C:/{name}", "a\0b"])
def test_a_location_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    secret = outside(tmp_path)
    path = with_external(tmp_path, location.format(name=secret.name, path=secret))
    with pytest.raises(OnnxError, match=r"relative path|outside the model's folder"):
        check_onnx(path)


def symlink(folder: Path, secret: Path) -> None:
    (folder / "data.bin").symlink_to(secret)


def symlinked_folder(folder: Path, secret: Path) -> None:
    (folder / "sub").symlink_to(secret.parent)


def hard_link(folder: Path, secret: Path) -> None:
    os.link(secret, folder / "data.bin")


@pytest.mark.parametrize(
    ("plant", "location", "word"),
    [(symlink, "data.bin", "a link"), (symlinked_folder, "sub/{name}", "a link"), (hard_link, "data.bin", "hard link")],
)
def test_a_link_to_the_outside_is_refused(
    tmp_path: Path, plant: Callable[[Path, Path], None], location: str, word: str
) -> None:
    secret = outside(tmp_path)
    plant(tmp_path, secret)
    with pytest.raises(OnnxError, match=word):
        check_onnx(with_external(tmp_path, location.format(name=secret.name)))


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ({"location": "gone.bin"}, "no such file"),
        ({"offset": "8"}, None),  # the rest is too short for the tensor
        ({"offset": "100000"}, "cut short"),
        ({"length": "100000"}, "cut short"),
        ({"offset": "-1"}, "cut short"),
        ({"length": "many"}, "no number"),
        ({"surprise": "1"}, "unknown external-data keys"),
    ],
)
def test_external_data_that_does_not_fit_is_refused(tmp_path: Path, entries: dict[str, str], word: str | None) -> None:
    path = with_external(tmp_path, **entries)
    with pytest.raises(OnnxError, match=word):
        check_onnx(path)


def test_external_data_of_fifty_gigabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    path = with_external(tmp_path)
    os.truncate(tmp_path / "weights.bin", 50 << 30)
    with pytest.raises(OnnxError, match=f"{50 << 30} bytes; at most"):
        check_onnx(path)


def test_a_file_that_is_not_the_one_that_was_checked_is_refused(tmp_path: Path) -> None:
    path = with_external(tmp_path)
    with pytest.raises(Altered, match="not the file that was checked"):
        check_onnx(path, "0" * 64)


def switch(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("is_training", TensorProto.BOOL, []))
    model.graph.node.append(helper.make_node("Identity", ["is_training"], ["flag"]))


def text(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("words", TensorProto.STRING, ["n"]))
    model.graph.node.append(helper.make_node("Identity", ["words"], ["same"]))


def zero_axis(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0


def minus_one(model: onnx.ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1


def no_output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def reshaping(model: onnx.ModelProto, shape: list[int]) -> None:
    """Flatten by a Reshape to this shape."""
    flatten = next(node for node in model.graph.node if node.op_type == "Flatten")
    flatten.op_type = "Reshape"
    flatten.input.append("shape")
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "shape"))


def half_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["images"], ["cast"], to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "cast"


def channels_last(model: onnx.ModelProto) -> None:
    for axis, size in enumerate(("n", 24, 32, 3)):
        dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
        dim.ParseFromString(b"")
        if isinstance(size, int):
            dim.dim_value = size
    model.graph.node.insert(0, helper.make_node("Transpose", ["images"], ["nchw"], perm=[0, 3, 1, 2]))
    model.graph.node[1].input[0] = "nchw"


def grey(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((8, 1, 3, 3), np.float32), "a.weight"))


def feature_maps(model: onnx.ModelProto) -> None:
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("pool", TensorProto.FLOAT, ["n", 8, 1, 1]))


def custom_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "my.company"
    model.opset_import.append(helper.make_opsetid("my.company", 1))


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Rely"


def withdrawn_operator(model: onnx.ModelProto, operator: str = "GroupNormalization") -> None:
    model.graph.node[1].op_type = operator
    model.opset_import[0].version = 18


def withdrawn_for_good(model: onnx.ModelProto) -> None:
    withdrawn_operator(model, "Scatter")


def sparse(model: onnx.ModelProto) -> None:
    values, places = (
        helper.make_tensor(n, t, [1], [1]) for n, t in (("thin", TensorProto.FLOAT), ("", TensorProto.INT64))
    )
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))


def future_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9999


def no_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def dangling_input(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (switch, "a switch for all images: store the value"),
        (text, "is STRING"),
        (sparse, "'thin' is a sparse tensor"),
        (zero_axis, "an axis of 'images' has length 0"),
        (custom_domain, "custom domain 'my.company'"),
        (unknown_operator, "nearest: 'Relu'"),
        (withdrawn_operator, "'GroupNormalization' .* with opset 21, where it is defined anew"),
        (withdrawn_for_good, "'Scatter' .* with another operator in its place"),
        (future_opset, "opset 9999"),
        (no_opset, "opset 0"),
        (dangling_input, "nowhere"),
    ],
)
def test_a_model_that_cannot_be_measured_is_refused(
    tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], word: str
) -> None:
    model = classifier()
    spoil(model)
    with pytest.raises(OnnxError, match=word):
        check_onnx(saved(tmp_path, model))


@pytest.mark.parametrize(
    ("make", "takes"),
    [
        (half_input, "images: float16 [n, 3, any, any]"),
        (channels_last, "images: float32 [n, 24, 32, 3]"),
        (grey, "images: float32 [n, 1, any, any]"),
        (feature_maps, "images: float32 [n, 3, any, any]"),
        (minus_one, "images: float32 [n, 3, any, any]"),
        (no_output_shape, "images: float32 [n, 3, any, any]"),
    ],
)
def test_what_a_network_takes_is_read_from_its_file(
    tmp_path: Path, make: Callable[[onnx.ModelProto], None], takes: str
) -> None:
    model = classifier()
    make(model)
    checked = check_onnx(saved(tmp_path, model))
    assert [str(graph_input) for graph_input in checked.inputs] == [takes]


def test_an_input_that_nothing_reads_is_left_out_and_said(tmp_path: Path) -> None:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n"]))
    checked = check_onnx(saved(tmp_path, model))
    assert [graph_input.name for graph_input in checked.inputs] == ["images"]
    assert checked.notes == ("nothing reads its input 'mask', which is left out",)


def test_a_shape_that_is_missing_is_inferred_or_else_learnt_from_a_call(tmp_path: Path) -> None:
    model = classifier()
    no_output_shape(model)
    checked = check_onnx(saved(tmp_path, model))
    assert checked.num_classes == 10 and "inferred" in checked.notes[0]
    model.graph.node.append(helper.make_node("Gelu", ["logits"], ["curved"], domain="com.microsoft"))  # onnx knows none
    model.graph.output[0].name = "curved"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    checked = check_onnx(saved(tmp_path, model))
    assert checked.num_classes == 10 and "learnt from a call" in checked.notes[0]


@pytest.mark.parametrize("axes", [("time", "n"), (None, None)])
def test_where_the_batch_of_a_recurrent_network_is_follows_through_outputs_without_a_shape(
    tmp_path: Path, axes: tuple[str | None, str | None]
) -> None:
    draws = np.random.default_rng(0)
    weights = {"w": (1, 6, 3), "r": (1, 6, 2)}
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*axes, 3])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("steps", "last")]
    stored = [numpy_helper.from_array(draws.random(shape, np.float32), name) for name, shape in weights.items()]
    gru = helper.make_node("GRU", ["x", "w", "r"], ["steps", "last"], hidden_size=2)
    graph = helper.make_graph([gru], "g", [given], outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = saved(tmp_path, model)
    with GraphRunner(path, 1) as runner, pytest.raises(TypeError, match=r"--batch-axis x=1,steps=2,last=1,"):
        runner.learn(draws.random((2, 5, 3), np.float32))
    checked = check_onnx(path, batch_axes={"x": 1, "steps": 2, "last": 1})  # the remedy works
    (steps, last) = open_session(checked.model.SerializeToString(), 1).run(None, {"x": np.ones((4, 5, 3), np.float32)})
    assert (steps.shape, last.shape) == ((4, 5, 1, 2), (4, 1, 2))


@pytest.mark.parametrize("size", [1, 4])
def test_a_fixed_batch_is_freed_where_running_proves_it(tmp_path: Path, size: int) -> None:
    checked = check_onnx(saved(tmp_path, classifier((size, 3, 24, 32))))
    assert f"its batch was fixed at {size}" in checked.notes[0]
    session = open_session(checked.model.SerializeToString(), 1)
    assert session.run(None, {"images": pixels(3)})[0].shape == (3, 10)


def test_a_fixed_batch_that_a_reshape_repeats_is_freed_in_both(tmp_path: Path) -> None:
    model = classifier((2, 3, 24, 32))
    reshaping(model, [2, 8])
    checked = check_onnx(saved(tmp_path, model))
    assert "what Reshape nodes hold of it" in checked.notes[0]
    session = open_session(checked.model.SerializeToString(), 1)
    assert session.run(None, {"images": pixels(5)})[0].shape == (5, 10)


def test_a_batch_that_cannot_be_freed_is_called_baked_in(tmp_path: Path) -> None:
    model = classifier((2, 3, 24, 32))
    model.graph.node[-1].input[0] = "two"
    model.graph.initializer.append(numpy_helper.from_array(np.ones((2, 8), np.float32), "ones"))
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Add", ["flat", "ones"], ["two"]))
    with pytest.raises(FixedBatch, match="its batch of 2 is baked into the graph"):
        check_onnx(saved(tmp_path, model))


def test_the_remedy_for_a_switch_works(tmp_path: Path) -> None:
    model = classifier()
    switch(model)
    model.graph.initializer.append(numpy_helper.from_array(np.array(False), "is_training"))
    assert [graph_input.name for graph_input in check_onnx(saved(tmp_path, model)).inputs] == ["images"]


def test_the_remedy_for_an_axis_of_length_zero_works(tmp_path: Path) -> None:
    model = classifier()
    zero_axis(model)
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.HasField("dim_value") and axis.dim_value == 0:
                axis.Clear()
    assert check_onnx(saved(tmp_path, model)).inputs[0].shape == (3, None, None)


def hub(folder: Path) -> Path:
    """A model and its data as a hub's cache keeps them: links into one store."""
    store, shown = folder / "blobs", folder / "snapshots" / "main"
    store.mkdir()
    shown.mkdir(parents=True)
    given = with_external(store)
    given.rename(store / "aaa")
    (shown / "net.onnx").symlink_to("../../blobs/aaa")
    (shown / "weights.bin").symlink_to("../../blobs/weights.bin")
    return shown / "net.onnx"


def test_data_that_a_hubs_cache_links_to_is_followed(tmp_path: Path) -> None:
    assert check_onnx(hub(tmp_path)).model.graph.initializer[0].raw_data


def test_the_remedy_for_linked_data_works(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    path = with_external(shown)
    elsewhere = tmp_path / "elsewhere.bin"
    (shown / "weights.bin").rename(elsewhere)
    (shown / "weights.bin").symlink_to(elsewhere)
    with pytest.raises(OnnxError, match=f"cp -rL {shown} COPY"):
        check_onnx(path)
    subprocess.run(["cp", "-rL", str(shown), str(tmp_path / "COPY")], check=True)
    assert check_onnx(tmp_path / "COPY" / path.name).inputs


def test_an_operator_hidden_in_a_branch_is_found(tmp_path: Path) -> None:
    model = classifier()
    branch = helper.make_graph(
        [helper.make_node("Exploit", [], ["out"], domain="my.company")],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("If", ["yes"], ["unused"], then_branch=branch, else_branch=branch))
    with pytest.raises(OnnxError, match="Exploit"):
        check_onnx(saved(tmp_path, model))


def test_flipped_bytes_pass_or_are_refused_but_never_escape(tmp_path: Path) -> None:
    whole = classifier().SerializeToString()
    draws = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        content = bytearray(whole)
        for place in draws.integers(len(content), size=3):
            content[place] = draws.integers(256)
        (tmp_path / "net.onnx").write_bytes(content)
        try:
            check_onnx(tmp_path / "net.onnx")
        except OnnxError:
            refused += 1
    assert refused > 0


def rows(node: onnx.NodeProto, back: str, domain: str, version: int, **shapes: list[int | str]) -> onnx.ModelProto:
    """A graph of one node on float inputs of these shapes."""
    value = helper.make_tensor_value_info
    given = [value(name, TensorProto.FLOAT, shape) for name, shape in (shapes or {"x": ["n", 4]}).items()]
    graph = helper.make_graph([node], "g", given, [value(back, TensorProto.FLOAT, [None, None])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, version)], ir_version=8)


def test_a_graph_of_scikit_learns_operators_alone_needs_no_other_opset(tmp_path: Path) -> None:
    scaler = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0] * 4, scale=[2.0] * 4)
    model = check_onnx(saved(tmp_path, rows(scaler, "y", "ai.onnx.ml", 3))).model
    (result,) = open_session(model.SerializeToString(), 1).run(None, {"x": np.ones((2, 4), np.float32)})
    assert not result.any()
    stranger = rows(helper.make_node("Relu", ["x"], ["y"]), "y", "ai.onnx.ml", 3)
    with pytest.raises(OnnxError, match="asks for opset 0"):
        check_onnx(saved(tmp_path, stranger))


def test_an_opset_that_onnxruntime_runs_no_longer_is_raised_and_said(tmp_path: Path) -> None:
    pooled = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2])
    old = rows(pooled, "y", "", 6, x=["n", 3, 6])
    old.graph.output[0].type.tensor_type.shape.dim.add()
    checked = check_onnx(saved(tmp_path, old))
    assert checked.notes == ("raised from opset 6 to 17 (onnx.version_converter), as onnxruntime needs it",)
    given = np.arange(36, dtype=np.float32).reshape(2, 3, 6)
    (result,) = open_session(checked.model.SerializeToString(), 1).run(None, {"x": given})
    assert np.array_equal(result, (given[..., 1:] + given[..., :-1]) / 2)
    relu = helper.make_node("Relu", ["x"], ["y"])  # it runs: nothing is changed
    assert check_onnx(saved(tmp_path, rows(relu, "y", "", 6))).model.opset_import[0].version == 6


def test_what_onnxruntime_does_not_run_is_said_without_its_inner_names(tmp_path: Path) -> None:
    model = rows(helper.make_node("RNN", ["x", "w", "r"], ["", "y"], hidden_size=2, layout=1), "y", "", 17)
    model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=3)
    model.graph.output[0].type.tensor_type.shape.dim.add()
    for name, width in (("w", 3), ("r", 2)):
        model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 2, width), np.float32), name))
    with pytest.raises(OnnxError, match=r"Batchwise recurrent operations \(layout == 1\)") as refused:
        check_onnx(saved(tmp_path, model))
    assert "onnxruntime_src" not in str(refused.value) and "ONNXRuntimeError" not in str(refused.value)


def test_fixed_first_axes_that_differ_are_no_batch_and_the_remedy_works(tmp_path: Path) -> None:
    model = rows(helper.make_node("Mul", ["x", "by"], ["y"]), "y", "", 17, x=[1, 4], by=[4])
    with pytest.raises(OnnxError, match="1 in 'x' and 4 in 'by'") as refused:
        check_onnx(saved(tmp_path, model))
    remedy = re.search(r"model\.graph\.\S+\(.*'by'\)\)", str(refused.value))
    assert remedy is not None
    exec(remedy[0], {"model": model, "onnx": onnx, "numpy": np})
    assert [tensor.name for tensor in check_onnx(saved(tmp_path, model)).inputs] == ["x"]
