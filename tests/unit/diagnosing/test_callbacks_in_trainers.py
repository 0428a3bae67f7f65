"""The callbacks in the trainers that they are for, which train and log as they do for users."""

import csv

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ap3.diagnosing.callbacks import hugging_face_callback, lightning_callback

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # both libraries' own


def pairs():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(32, 4, generator=generator)
    return inputs, (inputs[:, 0] > 0).long()


def test_lightning_writes_them_to_its_logger(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.loggers import CSVLogger

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module = Module()
    before = module.layer.weight.detach().clone()
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=CSVLogger(tmp_path),
        callbacks=[lightning_callback()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, DataLoader(TensorDataset(*pairs()), batch_size=8))
    (path,) = tmp_path.rglob("metrics.csv")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    ap2 = (module.layer.weight.detach() - before).double().square().sum().item()
    assert float(rows[-1]["ap3/layer/ap2"]) == pytest.approx(ap2, rel=1e-5)
    assert float(rows[-1]["ap3/layer/sparsity"]) == 0


def test_hugging_face_logs_them_beside_the_loss(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    # It takes the folder tests/unit/datasets for the library of this name.
    monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, inputs, labels):
            logits = self.layer(inputs)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    network = Network()
    before = network.layer.weight.detach().clone()
    inputs, labels = pairs()
    data = [{"inputs": x, "labels": y} for x, y in zip(inputs, labels, strict=True)]
    options = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=1,
        logging_steps=4,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(network, options, train_dataset=data)
    trainer.add_callback(hugging_face_callback(trainer))
    trainer.train()
    logged = [row for row in trainer.state.log_history if "ap3/layer/ap2" in row]
    ap2 = (network.layer.weight.detach() - before).double().square().sum().item()
    assert logged[-1]["ap3/layer/ap2"] == pytest.approx(ap2, rel=1e-5)
    assert logged[-1]["ap3/sparsity"] == 0
