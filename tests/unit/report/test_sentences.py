"""What is said of a study is what its table counts."""

import pandas as pd
import pytest

from ap3.errors import UserError
from ap3.report.sentences import sentences
from ap3.stages.findings import findings


def row(measure, epoch, mean, reference="baseline", model="vgg", sees="weights", **more):
    return {
        "dataset": "digits", "model": model, "measure": measure, "epoch": epoch, "sees": sees,
        "reference": reference, "pd": "test_pd_loss", "among": "all", "statistic": "agreement",
        "n": 2, "mean": mean,
    } | more  # fmt: skip


TABLE = pd.DataFrame(
    [
        row("ap2", 0, 1.0),
        row("ap2", 0, 0.9, model="vit"),
        row("ap2", 5, 0.6),
        row("ap2", 5, 0.5, model="vit"),
        row("ap2", 5, 0.9, reference="control"),
        row("ap3_fisher", 5, 0.8, sees="features"),
        row("kl_predictions", 5, 0.99, sees="outputs"),
        row("lookup", 5, 0.85, sees="nothing"),
        row("ap2", 5, 0.1, pd="test_pd_accuracy"),
        row("ap2", 5, 0.1, among="modes"),
        row("ap2", 5, 0.97, pd="test_pd_loss_signed"),
        row("ap2", 5, 12.0, statistic="decided"),
    ]
)


def test_three_sentences():
    before, after, best = sentences(TABLE)
    assert before.startswith("AP2 orders 95% of the pairs of pruned networks as the loss does")
    assert "2 networks, 2 trials of each; chance is 50%" in before
    assert after == (
        "After fine-tuning it orders 55% by |PD|; 97% by the signed PD, where an improvement is less than "
        "no damage; 90% measured from the control, which was not pruned."
    )
    assert best == (
        "Best after fine-tuning, of the measures that see no outputs: AP3 Fisher, 80%; a look-up, "
        "which sees no weight: 85%."
    )


def test_what_is_as_good_as_ap2_is_not_called_better():
    alike = TABLE.replace({"mean": {0.8: 0.55}})
    *_, best = sentences(alike[alike["measure"] != "lookup"])
    assert best == ("No measure that sees no outputs does better than AP2 after fine-tuning.")
    both = pd.DataFrame([row("obd", 5, 0.8), row("snip", 5, 0.8)])
    *_, best = sentences(pd.concat([TABLE, both]))
    assert "outputs: AP3 Fisher and OBD and SNIP, 80%" in best


def test_without_fine_tuning_and_control_less_is_said():
    assert len(sentences(TABLE[TABLE["epoch"] == 0])) == 1
    absolute = TABLE[TABLE["pd"] == "test_pd_loss"]
    after = sentences(absolute[absolute["reference"] == "baseline"])[1]
    assert after == "After fine-tuning it orders 55% by |PD|."


def test_the_command_prints_them(tmp_path, capsys):
    (tmp_path / "tables").mkdir()
    TABLE.to_csv(tmp_path / "tables/agreement_summary.csv", index=False)
    findings(tmp_path)
    assert capsys.readouterr().out.splitlines() == sentences(TABLE)


def test_a_study_that_counts_nothing_is_refused(tmp_path):
    (tmp_path / "tables").mkdir()
    TABLE.assign(mean=float("nan")).to_csv(tmp_path / "tables/agreement_summary.csv", index=False)
    with pytest.raises(UserError, match="counts no pair"):
        findings(tmp_path)
