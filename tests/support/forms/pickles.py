"""Forms of pickled networks, which need the auditor's trust."""

import copy
import pickle
import sys
import types
from pathlib import Path
from tempfile import TemporaryDirectory

import cloudpickle
import mlflow
import torch
from torch import Tensor, nn

from forms.form import KNOWN, Form, log_torch
from forms.owner import NAMES, Owner

_SIZED = {**KNOWN, "preprocessing": {"range": "0-1", "size": 32}}


def _log(net, name, **arguments) -> None:
    log_torch(net, name, pickled=True, metadata=_SIZED, **arguments)


def _log_plain(owner: Owner, name: str) -> None:
    _log(owner.net, name)


def _log_by_pickle(owner: Owner, name: str) -> None:
    _log(owner.net, name, pickle_module=pickle)


def _log_by_cloudpickle(owner: Owner, name: str) -> None:
    _log(owner.net, name, pickle_module=cloudpickle)


def _log_half(owner: Owner, name: str) -> None:
    _log(copy.deepcopy(owner.net).half(), name)


def _log_parallel(owner: Owner, name: str) -> None:
    _log(nn.DataParallel(owner.net), name)


def _log_scripted(owner: Owner, name: str) -> None:
    _log(torch.jit.script(owner.net), name)


def _log_traced(owner: Owner, name: str) -> None:
    _log(torch.jit.trace(owner.net, torch.zeros(2, 3, 32, 32)), name)


def _log_quantized(owner: Owner, name: str) -> None:
    _log(torch.ao.quantization.quantize_dynamic(copy.deepcopy(owner.net), {nn.Linear}), name)


def _quantized_answers(owner: Owner) -> Tensor:
    net = torch.ao.quantization.quantize_dynamic(copy.deepcopy(owner.net), {nn.Linear})
    with torch.no_grad():
        return net(owner.pixels)


def _of_module(module: str, source: str, owner: Owner) -> nn.Module:
    """The owner's network as a class of a module that the auditor does not have."""
    made = types.ModuleType(module)
    sys.modules[module] = made
    exec(source, made.__dict__)
    net = made.Mine()
    net.load_state_dict(owner.net.state_dict())
    return net.eval()


_SOURCE = """
from forms.owner import Core
class Mine(Core):
    pass
"""


def _log_with_code(owner: Owner, name: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "own_module.py"
        file.write_text(_SOURCE)
        net = _of_module("own_module", _SOURCE, owner)
        _log(net, name, code_paths=[str(file)], pickle_module=pickle)
    del sys.modules["own_module"]


def _log_missing(owner: Owner, name: str) -> None:
    net = _of_module("house_of_nets", _SOURCE, owner)
    with mlflow.start_run():
        mlflow.pytorch.log_model(
            net,
            name="model",
            metadata=_SIZED,
            pip_requirements=["torch", "house-of-nets==1.2.3"],
            registered_model_name=name,
            serialization_format="pickle",
            pickle_module=pickle,
        )
    del sys.modules["house_of_nets"]


def _log_of_main(owner: Owner, name: str) -> None:
    """As a training script does whose network's class is defined in the script itself."""
    net = _of_module("own_script", _SOURCE, owner)
    main = sys.modules["__main__"]
    net.__class__.__module__ = "__main__"
    main.Mine = net.__class__
    try:
        _log(net, name, pickle_module=pickle)
    finally:
        del main.Mine, sys.modules["own_script"]


def _log_state(owner: Owner, name: str) -> None:
    """A dictionary of weights in the place of a network."""
    _log(owner.net, name)
    client = mlflow.MlflowClient()
    version = client.get_model_version(name, "1")
    with TemporaryDirectory() as folder:
        copied = mlflow.artifacts.download_artifacts(version.source, dst_path=folder)
        torch.save(owner.net.state_dict(), Path(copied) / "data" / "model.pth")
        with mlflow.start_run() as run:
            mlflow.log_artifacts(copied, "weights")
        client.delete_registered_model(name)
        client.create_registered_model(name)
        client.create_model_version(name, f"runs:/{run.info.run_id}/weights")


def _log_autolog(owner: Owner, name: str) -> None:
    """What Lightning's training logs by itself, if MLflow's autolog is on."""
    import lightning

    class Task(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = copy.deepcopy(owner.net)

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _):
            return 0.0 * self.net(batch[0]).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.net.head.parameters(), 0.0)

    images = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(owner.pixels), 80)
    mlflow.pytorch.autolog(log_every_n_epoch=1, registered_model_name=name, checkpoint=False)
    try:
        with TemporaryDirectory() as folder, mlflow.start_run():
            trainer = lightning.Trainer(
                max_epochs=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=folder,
                accelerator="cpu",
            )
            task = Task()
            task.net.features.requires_grad_(False)
            task.net.features[1].momentum = 0.0  # the statistics stay as they are
            trainer.fit(task, images)
    finally:
        mlflow.pytorch.autolog(disable=True)


FORMS = (
    Form(
        "Lightning's autolog",
        _log_autolog,
        {"preprocessing": {"size": 32, "range": "0-1", "classes": list(NAMES)}},
        asked="Nobody named",
        package="lightning",
    ),
    Form("pickle, its name trusted", _log_plain),
    Form("pickle, its name not trusted", _log_plain, refused="can run any code", trusted=False),
    Form("pickle by the standard pickle", _log_by_pickle),
    Form("pickle by cloudpickle", _log_by_cloudpickle),
    Form("pickle in half precision", _log_half),
    Form("pickle of DataParallel", _log_parallel),
    Form("TorchScript by scripting", _log_scripted),
    Form("TorchScript by tracing", _log_traced),
    Form("pickle, quantized", _log_quantized, answers=_quantized_answers, fills="not_applicable"),
    Form("pickle whose code is in code_paths", _log_with_code),
    Form(
        "pickle of a package that is not there",
        _log_missing,
        refused=r"house_of_nets.*pip install 'house-of-nets==1\.2\.3'",
    ),
    Form(
        "pickle of a class of a script",
        _log_of_main,
        refused="of the training script",
    ),
    Form(
        "a dictionary of weights",
        _log_state,
        refused="not its state_dict",
    ),
)
