"""What is said of figures and tables, as Snakemake's report and ours read it."""

import pytest
from docutils.core import publish_string
from docutils.utils import SystemMessage

from ap3.study import captions

NAMES = sorted(path.stem for path in captions.FOLDER.glob("*.rst"))


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_is_sound_for_both_reports(name):
    text = captions.file(name).read_text(encoding="utf-8")
    strict = {"halt_level": 2, "report_level": 5}
    page = publish_string(text, settings_overrides=strict)
    assert b"system_message" not in page
    assert "\\" not in captions.read(name).text


def test_a_bar_is_no_substitution():
    with pytest.raises(SystemMessage):
        publish_string("Of |PD|.", settings_overrides={"halt_level": 2, "report_level": 5})
    assert "of |PD|" in captions.read("agreement").text
