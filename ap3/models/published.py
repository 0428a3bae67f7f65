"""torchvision's table of pretrained weights: where they are, and how their networks see images."""

from pathlib import Path
from urllib.parse import urlsplit

from torchvision import models
from torchvision.models import WeightsEnum

from ap3.datasets.raw.fetch import fetch
from ap3.datasets.sources import RemoteFile
from ap3.errors import InvalidValueError
from ap3.models.names import are_known, is_known
from ap3.models.preprocessing import View
from ap3.models.pretrained import Pretrained

PUBLISHER = "torchvision"


def write(model: str, weights: str, out: Path, data_dir: Path | None = None) -> None:
    """Write the `weights` of a network of torchvision, and how it sees images, to the file `out`.

    The publisher's file is downloaded, or copied from `data_dir` where that is given, beside
    `out`, and removed at the end. Its name carries the first digits of its digest, which are
    checked before it is opened.

    Raises
    ------
    UserError
        If there are no such weights, or the file is missing, wrong or cannot be downloaded.
    """
    entry = find(model, weights)
    file = remote_file(entry)
    raw = out.with_name(file.name)
    fetch(file, raw, data_dir)
    Pretrained(str(entry), Pretrained.load(raw).state, view_of(entry)).save(out)
    raw.unlink()


def find(model: str, weights: str) -> WeightsEnum:
    """Look `weights`, such as DEFAULT or IMAGENET1K_V1, up among those of the network `model`.

    Examples
    --------
    >>> str(find("alexnet", "DEFAULT"))
    'AlexNet_Weights.IMAGENET1K_V1'
    """
    known, hint = is_known(model)
    if not known:
        raise InvalidValueError(f"the network is {model!r}, but {hint}")
    known, hint = are_known(weights, model)
    if not known:
        raise InvalidValueError(f"the weights of {model} are {weights!r}, but {hint}")
    return models.get_model_weights(model)[weights]


def remote_file(weights: WeightsEnum) -> RemoteFile:
    """Describe the file of some weights.

    Examples
    --------
    >>> file = remote_file(find("resnet50", "IMAGENET1K_V1"))
    >>> file.name, file.sha256
    ('resnet50-0676ba61.pth', ('0676ba61',))
    """
    name = Path(urlsplit(weights.url).path).name
    _, _, digest = Path(name).stem.rpartition("-")
    return RemoteFile(PUBLISHER, name, weights.url, size=None, sha256=(digest,))


def view_of(weights: WeightsEnum) -> View:
    """Tell how the network of some weights looks at images.

    Examples
    --------
    >>> view_of(find("vit_b_16", "DEFAULT")).size
    224
    """
    seen = weights.transforms()
    (size,) = seen.crop_size
    return View(size, tuple(seen.mean), tuple(seen.std))
