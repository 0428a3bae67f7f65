"""Vega, Vega-Lite and Vega-Embed, which draw the view of the page, as one script."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import vl_convert  # noqa: F401  # used below; who lacks it hears of it before any work

_OFFER = "window.vegaEmbed = vegaEmbed;"  # to the script of the page
_MAKE = """
import sys, vl_convert
script = vl_convert.javascript_bundle(sys.argv[1], vl_convert.get_vegalite_versions()[-1])
sys.stdout.buffer.write(script.encode())
"""


@contextmanager
def being_made() -> Iterator[Callable[[], str]]:
    """Put them together, and meanwhile do something else; the value returns the script.

    It takes a second in which no other thread could work, hence a process of its own, out of reach
    of Ctrl-C and killed where the page comes to nothing.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _MAKE, _OFFER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as making:
        try:
            yield partial(_script, making)
        finally:
            making.kill()  # nothing, once it has ended


def _script(making: "subprocess.Popen[str]") -> str:
    text, said = making.communicate()
    if making.returncode:
        raise RuntimeError(f"Vega was not put together:\n{said}")
    return text.replace("</script", "<\\/script")
