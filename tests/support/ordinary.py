"""What an honest model does in a cell: each function gives numbers or text that a test knows."""

import os
import tempfile
from pathlib import Path


def passes(threads: int) -> float:
    """The sum of a convolution of ones: 16 outputs of 9 each, times 4 channels."""
    import torch

    torch.set_num_threads(threads)
    layer = torch.nn.Conv2d(1, 4, 3, bias=False)
    torch.nn.init.ones_(layer.weight)
    x = torch.ones(1, 1, 6, 6, requires_grad=True)
    layer(x).sum().backward()
    return float(layer(x).sum())


def runs_on_gpu() -> float:
    """As `passes`, on a GPU, with memory that it shares with the processor and a captured graph."""
    import torch

    layer = torch.nn.Conv2d(1, 4, 3, bias=False).cuda()
    torch.nn.init.ones_(layer.weight)
    x = torch.ones(1, 1, 6, 6).pin_memory().cuda(non_blocking=True).requires_grad_()
    layer(x).sum().backward()
    still = x.detach()
    with torch.no_grad():
        layer(still)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = layer(still)
        graph.replay()
    return float(answer.sum().cpu())


def loads(archive: str) -> list[int]:
    """The shape of the answer of an exported network."""
    import torch

    return list(torch.export.load(archive).module()(torch.zeros(2, 1, 28, 28)).shape)


def sees(folder: str) -> int:
    """The sum of the sizes of all images in a folder and its folders."""
    from PIL import Image

    found = 0
    for place, _, names in os.walk(folder, followlinks=True):
        for name in names:
            with Image.open(Path(place, name)) as image:
                found += image.convert("L").size[0]
    return found


def names_a_thread() -> str:
    """The name that a thread has given itself."""
    import threading

    def name() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("named")
        found.append(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text())

    found: list[str] = []
    thread = threading.Thread(target=name)
    thread.start()
    thread.join()
    return found[0].strip()


def keeps() -> bool:
    """Whether its folder takes files, moved and changed, also below the home."""
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as file:
        file.write(b"kept")
        file.flush()
        os.link(file.name, Path(folder, "kept"))
        os.rename(Path(folder, "kept"), Path.home() / "kept")
    return (Path.home() / "kept").read_text() == "kept"


def fits_with_threads() -> float:
    import threadpoolctl
    from sklearn.datasets import load_digits
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    x, y = load_digits(return_X_y=True)
    RandomForestClassifier(n_estimators=4, n_jobs=2, random_state=0).fit(x, y).predict(x)
    with threadpoolctl.threadpool_limits(2):
        return float(HistGradientBoostingClassifier(max_iter=2).fit(x, y).score(x, y))


def predicts_timm() -> list[int]:
    import timm
    import torch

    return list(timm.create_model("resnet18", num_classes=7)(torch.zeros(1, 3, 64, 64)).shape)


def predicts_transformers() -> list[int]:
    import torch
    from transformers import AutoModelForImageClassification, ViTConfig

    config = ViTConfig(num_hidden_layers=1, image_size=32, hidden_size=24, num_attention_heads=2)
    net = AutoModelForImageClassification.from_config(config).eval()
    return list(net(torch.zeros(1, 3, 32, 32)).logits.shape)


def predicts_onnx() -> list[float]:
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", [x], [y])
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, ir_version=9, opset_imports=[opset]).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array([-1, 2], np.float32)})[0].tolist()


def predicts_lightgbm() -> int:
    import lightgbm
    import numpy as np

    x = np.random.default_rng(0).random((200, 4))
    model = lightgbm.LGBMClassifier(n_estimators=2, n_jobs=2, verbose=-1)
    return len(model.fit(x, np.arange(200) % 3).predict(x))


def predicts_keras() -> list[int]:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy as np

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    file = str(Path(tempfile.mkdtemp(), "model.keras"))
    model.save(file)
    return list(keras.models.load_model(file).predict(np.zeros((2, 4)), verbose=0).shape)
