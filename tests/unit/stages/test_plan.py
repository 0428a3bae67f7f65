"""Stage `plan`: what it prints of a study, and what it refuses."""

import json

import published_studies
import pytest
from small_data import blobs

from ap3.errors import UserError
from ap3.planning import foresight
from ap3.planning.network_speed import Speed
from ap3.stages.plan import plan


@pytest.fixture
def files(tmp_path):
    """The settings of study demo as the workflow leaves them, and a data set."""
    settings, data = tmp_path / "settings.json", tmp_path / "data.safetensors"
    demo = {"name": "demo", **published_studies.read()["demo"].settings}
    settings.write_text(json.dumps(demo), encoding="utf-8")
    blobs(40, 20).save(data)
    return settings, data


@pytest.mark.parametrize("given", [1, 4], ids=["one for all", "one for each"])
def test_it_names_what_takes_long(files, monkeypatch, capsys, given):
    monkeypatch.setattr(foresight, "measure_speed", lambda *given: Speed(0.5, 100.0))
    monkeypatch.setattr(foresight, "head_tuning_seconds", lambda *given: 7.0)
    settings, data = files
    plan(settings, [data] * given, device="cpu")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Study demo on this machine (cpu, threads of each job: 1)"
    # 14 and 15 epochs over 40 images at one in two seconds; 6 epochs take 480 s.
    assert (
        "Over ten minutes: baseline of small_alexnet on digits, baseline of small_vit on digits."
        in said
    )
    assert said[-1].startswith("One job after the other: 1.8 h. ")


def test_a_data_set_too_few_is_a_sentence(files):
    settings, data = files
    with pytest.raises(UserError, match=r"has 4 networks .* but --data names 3 decoded data sets"):
        plan(settings, [data] * 3)


def test_one_data_set_does_not_stand_for_several(files):
    settings, data = files
    paper = {"name": "paper", **published_studies.read()["paper"].settings}
    settings.write_text(json.dumps(paper), encoding="utf-8")
    with pytest.raises(UserError, match=r"has 9 networks .* but --data names 1 decoded data sets"):
        plan(settings, [data])


def test_other_settings_are_a_sentence(tmp_path, files):
    with pytest.raises(UserError, match="does not exist"):
        plan(tmp_path / "none.json", [])
    files[0].write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="holds no settings of a study"):
        plan(files[0], [])
