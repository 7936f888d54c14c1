from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gc_warm.functions.onnx import predict, session

WEIGHTS = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)


def _save(path, nodes, inputs, outputs, initializers=()):
    """Write a model; inputs and outputs are (name, element type, shape)."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in initializers],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return str(path)


def _save_linear(path, bias=0.0, *, bias_is_an_input=False):
    """Write y = x @ WEIGHTS + bias."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["y"]),
    ]
    inputs = [("x", TensorProto.FLOAT, ["batch", 2])]
    if bias_is_an_input:
        inputs.append(("b", TensorProto.FLOAT, [3]))
    return _save(
        path,
        nodes,
        inputs,
        [("y", TensorProto.FLOAT, ["batch", 3])],
        [("w", WEIGHTS), ("b", np.full(3, bias, dtype=np.float32))],
    )


def _save_identity(path, kind, shape):
    return _save(
        path,
        [helper.make_node("Identity", ["x"], ["y"])],
        [("x", kind, shape)],
        [("y", kind, shape)],
    )


@pytest.fixture
def linear(tmp_path):
    return _save_linear(tmp_path / "linear.onnx")


@pytest.fixture
def two_by_two(tmp_path):
    """Total and scaled, from a float and an integer input."""
    return _save(
        tmp_path / "two.onnx",
        [
            helper.make_node("Cast", ["count"], ["factor"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["value", "factor"], ["scaled"]),
            helper.make_node("Neg", ["count"], ["negative"]),
        ],
        [("value", TensorProto.FLOAT, ["n"]), ("count", TensorProto.INT64, ["n"])],
        [("scaled", TensorProto.FLOAT, ["n"]), ("negative", TensorProto.INT64, ["n"])],
    )


def _builds(call):
    before = session.info().misses
    call()
    return session.info().misses - before


@pytest.mark.parametrize("batch", [1, 7])
def test_computes_what_the_model_says(linear, batch):
    x = np.arange(2 * batch, dtype=np.float32).reshape(batch, 2)

    outputs = predict(linear, {"x": x})

    assert list(outputs) == ["y"]
    assert outputs["y"].dtype == np.float32
    np.testing.assert_allclose(outputs["y"], x @ WEIGHTS, rtol=1e-6)


def test_lists_take_the_models_type(two_by_two):
    outputs = predict(two_by_two, {"value": [1, 2.5], "count": [2, 4]})

    assert {name: (o.dtype.name, o.tolist()) for name, o in outputs.items()} == {
        "scaled": ("float32", [2.0, 10.0]),
        "negative": ("int64", [-2, -4]),
    }


def test_chosen_outputs_come_alone_and_in_their_order(two_by_two):
    inputs = {"value": [1.0], "count": [2]}

    assert list(predict(two_by_two, inputs, outputs="negative")) == ["negative"]
    assert list(predict(two_by_two, inputs, outputs=["negative", "scaled"])) == [
        "negative",
        "scaled",
    ]


def test_an_input_with_a_default_may_be_given_or_not(tmp_path):
    path = _save_linear(tmp_path / "model.onnx", bias=1, bias_is_an_input=True)

    assert predict(path, {"x": [[0, 0]]})["y"].tolist() == [[1, 1, 1]]
    assert predict(path, {"x": [[0, 0]], "b": [7, 8, 9]})["y"].tolist() == [[7, 8, 9]]


@pytest.mark.parametrize("value", [["a", "bc"], np.array(["a", "bc"])])
def test_texts_go_in_and_out(tmp_path, value):
    path = _save_identity(tmp_path / "text.onnx", TensorProto.STRING, ["n"])

    assert predict(path, {"x": value})["y"].tolist() == ["a", "bc"]


def test_a_single_number_goes_in_and_out(tmp_path):
    path = _save_identity(tmp_path / "number.onnx", TensorProto.FLOAT, [])

    assert predict(path, {"x": 2.5})["y"] == 2.5


def test_a_sequence_goes_in_as_it_is(tmp_path):
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    length = helper.make_tensor_value_info("y", TensorProto.INT64, [])
    node = helper.make_node("SequenceLength", ["x"], ["y"])
    graph = helper.make_graph([node], "test", [sequence], [length])
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "sequence.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)

    assert predict(path, {"x": [np.zeros(2, np.float32), np.ones(3, np.float32)]})["y"] == 2


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TensorProto.INT64, [1.5]),
        (TensorProto.INT64, [float("nan")]),
        (TensorProto.INT64, [2**70]),
        (TensorProto.UINT8, [256]),
        (TensorProto.UINT8, [-1]),
        (TensorProto.BOOL, [2]),
        (TensorProto.FLOAT, ["1.5"]),
        (TensorProto.FLOAT, [None]),
        (TensorProto.FLOAT, [1j]),
    ],
)
def test_lists_that_do_not_fit_the_type_are_refused(tmp_path, kind, value):
    path = _save_identity(tmp_path / "model.onnx", kind, ["n"])

    with pytest.raises(ValueError, match=r"expects 'x': \w+ \[n\], which cannot hold the values"):
        predict(path, {"x": value})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TensorProto.INT64, [1.0, 2.0]),
        (TensorProto.UINT8, [0, 255]),
        (TensorProto.BOOL, [0, 1]),
        (TensorProto.FLOAT16, [1, 0.5]),
        (TensorProto.DOUBLE, [True, 3]),
    ],
)
def test_lists_that_fit_the_type_are_cast(tmp_path, kind, value):
    path = _save_identity(tmp_path / "model.onnx", kind, ["n"])

    y = predict(path, {"x": value})["y"]

    assert (y.dtype, y.tolist()) == (helper.tensor_dtype_to_np_dtype(kind), value)


def test_lists_of_unequal_lengths_are_refused(linear):
    with pytest.raises(ValueError, match=r"expects 'x': float32 \[batch, 2\]: .*inhomogeneous"):
        predict(linear, {"x": [[1, 2], [3]]})


def test_an_array_of_another_type_is_refused(linear):
    with pytest.raises(
        ValueError, match=r"expects 'x': float32 \[batch, 2\], but was given float64 \[1, 2\]"
    ):
        predict(linear, {"x": np.zeros((1, 2))})


@pytest.mark.parametrize("shape", [(2,), (1, 3), (1, 2, 1)])
def test_an_array_of_another_shape_is_refused(linear, shape):
    with pytest.raises(ValueError, match=r"float32 \[batch, 2\], but was given float32 \["):
        predict(linear, {"x": np.zeros(shape, dtype=np.float32)})


def test_missing_and_unknown_inputs_are_named_with_the_expected_ones(two_by_two):
    with pytest.raises(ValueError, match="inputs are") as caught:
        predict(two_by_two, {"value": [1.0], "amount": [2]})

    assert str(caught.value) == (
        "The model's inputs are 'value': float32 [n]; 'count': int64 [n]. "
        "Missing: 'count'. Unknown: 'amount'."
    )


def test_inputs_without_names_are_refused(linear):
    with pytest.raises(TypeError, match="inputs must be a dict of named arrays, not list"):
        predict(linear, [[1.0, 2.0]])


def test_an_unknown_output_is_refused(linear):
    with pytest.raises(ValueError, match="no output 'z', but 'y'"):
        predict(linear, {"x": [[1, 2]]}, outputs=["z"])


def test_an_unknown_provider_is_refused(linear):
    with pytest.raises(ValueError, match=r"no 'WarpDrive', but .*'CPUExecutionProvider'"):
        predict(linear, {"x": [[1, 2]]}, providers=["WarpDrive"])


def test_a_missing_file_is_an_error_that_names_the_worker(tmp_path):
    path = str(tmp_path / "missing.onnx")

    with pytest.raises(FileNotFoundError) as caught:
        predict(path, {})

    assert repr(path) in str(caught.value)
    assert platform.node() in str(caught.value)


def test_a_file_that_is_no_model_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "rubbish.onnx"
    path.write_bytes(b"not a model")

    with pytest.raises(Exception, match=r"rubbish\.onnx"):
        predict(path, {})


def test_the_same_file_is_one_session(linear, monkeypatch):
    monkeypatch.chdir(Path(linear).parent)
    paths = [linear, Path(linear), "linear.onnx", "./linear.onnx"]

    assert _builds(lambda: [predict(path, {"x": [[1, 2]]}) for path in paths]) == 1


def test_other_options_are_another_session(linear):
    options = [{}, {"threads": 2}, {"providers": "CPUExecutionProvider"}]

    assert _builds(lambda: [predict(linear, {"x": [[1, 2]]}, **o) for o in options]) == 3


def test_the_session_takes_the_threads_asked_for(linear):
    predict(linear, {"x": [[1, 2]]}, threads=3)
    found = Path(linear).stat()

    model = session(linear, found.st_size, found.st_mtime_ns, None, 3)

    assert model.get_session_options().intra_op_num_threads == 3


@pytest.mark.parametrize(("setting", "threads"), [("5", 5), ("6,2", 6)])
def test_the_number_of_threads_follows_openmp(linear, monkeypatch, setting, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    session.clear()

    model = session(linear, 0, 0, None, None)

    assert model.get_session_options().intra_op_num_threads == threads


def test_many_workers_share_the_cores(linear, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PARSL_WORKER_COUNT", "100000")
    session.clear()

    model = session(linear, 0, 0, None, None)

    assert model.get_session_options().intra_op_num_threads == 1


def test_a_changed_file_is_a_new_session(tmp_path):
    path = _save_linear(tmp_path / "model.onnx", bias=1)
    assert predict(path, {"x": [[0, 0]]})["y"].tolist() == [[1, 1, 1]]
    before = Path(path).stat()

    _save_linear(path, bias=2)  # of the same size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))

    assert _builds(lambda: predict(path, {"x": [[0, 0]]})) == 1
    assert predict(path, {"x": [[0, 0]]})["y"].tolist() == [[2, 2, 2]]


def test_a_worker_loads_a_model_once_until_its_file_changes(one_worker, tmp_path):
    path = _save_linear(tmp_path / "model.onnx", bias=1)

    def ask():
        answer = one_worker.submit(predict.receipted, path, {"x": [[0, 0]]}).result()
        return answer.value["y"].tolist(), answer.receipt.cold_starts

    assert [ask() for _ in range(3)] == [([[1, 1, 1]], 1), ([[1, 1, 1]], 0), ([[1, 1, 1]], 0)]

    before = Path(path).stat()
    _save_linear(path, bias=2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))

    assert [ask() for _ in range(2)] == [([[2, 2, 2]], 1), ([[2, 2, 2]], 0)]
