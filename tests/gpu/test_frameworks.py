"""What frameworks keep on a GPU stays warm: sessions, compiled kernels, and which GPU it is."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gc_warm import LocalExecutor
from gc_warm.functions.onnx import predict

CONFIG = Path(__file__).parents[2] / "endpoint_configs" / "workstation-gpu"


@pytest.fixture
def onnx_model(models, one_worker, tmp_path):
    """Return the path of a model that multiplies by a matrix, and the matrix."""
    numpy = pytest.importorskip("numpy")
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in one_worker.submit(models.providers).result():
        pytest.skip("this ONNX Runtime has no CUDA provider: install onnxruntime-gpu")
    helper, kinds = onnx.helper, onnx.TensorProto
    weights = numpy.arange(64 * 64, dtype="float32").reshape(64, 64) / 4096
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["price"])],
        "product",
        [helper.make_tensor_value_info("features", kinds.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("price", kinds.FLOAT, ["n", 64])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "product.onnx"
    onnx.save(model, path)
    return str(path), weights


def test_onnx_runtime_computes_on_the_gpu(models, one_worker, onnx_model):
    numpy = pytest.importorskip("numpy")
    path, weights = onnx_model
    features = numpy.ones((2, 64), dtype="float32")
    answers, providers, misses = one_worker.submit(models.predict_twice, path, features).result()
    assert ("CUDAExecutionProvider", 1) == (providers[0], misses)
    for answer in answers:
        numpy.testing.assert_allclose(features @ weights, answer["price"], rtol=1e-3)


def test_a_gpu_that_was_asked_for_and_cannot_be_had_is_an_error(onnx_model):
    path, weights = onnx_model
    features = {"features": weights[:2]}
    with LocalExecutor(workers=1, worker_env={"CUDA_VISIBLE_DEVICES": ""}) as executor:
        on_cpu = executor.submit(predict, path, features).result()
        assert on_cpu["price"] == pytest.approx(weights[:2] @ weights, rel=1e-3)
        with pytest.raises(Exception, match="cannot use 'CUDAExecutionProvider'"):
            executor.submit(predict, path, features, providers="CUDAExecutionProvider").result()


def test_a_torch_model_computes_the_same_warm_as_cold(models, one_worker):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    points = torch.ones(4, 8)
    expected = net(points).detach().numpy()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    for misses in (1, 1):
        answer, built = one_worker.submit(
            models.run_net, sorted(weights), points.numpy(), list(map(weights.get, sorted(weights)))
        ).result()
        assert misses == built
        assert answer == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.skipif(shutil.which("globus-compute-endpoint") is None, reason="needs an endpoint")
def test_a_worker_of_the_sample_config_has_its_gpu(models):
    options = json.loads((CONFIG / "options.example.json").read_text()) | {"accelerators": 1}
    with LocalExecutor(
        endpoint_config=CONFIG, user_endpoint_config=options, local_provider=True
    ) as executor:
        answers = [executor.submit(models.use, name).result(timeout=200) for name in "aab"]
        gpu = executor.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result(timeout=60)
    assert ["a", "a", "b"] == [name for name, *_ in answers]
    assert [1, 1, 2] == [misses for _, misses, *_ in answers]
    assert "0" == gpu
