"""Vega, Vega-Lite and Vega-Embed, which draw the view of the page, as one script."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    It takes a second in which no other thread could work, hence a process of its own.
    """
    command = [sys.executable, "-P", "-c", _MAKE, _OFFER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as making:

        def script() -> str:
            text, _ = making.communicate()
            if making.returncode:
                raise subprocess.CalledProcessError(making.returncode, command)
            return text.replace("</script", "<\\/script")

        yield script
