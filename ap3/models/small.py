"""Four small classifiers, one of each family of the paper, for images of 8 pixels and up.

They are made of torchvision's own building blocks in the order that makes the family what it is,
with fewer and narrower layers, so that a laptop trains one in seconds.
"""

from collections import OrderedDict

from torch import nn
from torchvision.models.resnet import Bottleneck, conv1x1
from torchvision.models.vgg import make_layers
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.ops import Conv2dNormActivation


class _Classifier(nn.Sequential):
    """Convolutions, pooling to a fixed grid, flattening, fully connected layers."""

    def __init__(self, features: nn.Module, grid: int, classifier: nn.Module) -> None:
        layers = OrderedDict(
            features=features,
            avgpool=nn.AdaptiveAvgPool2d(grid),
            flatten=nn.Flatten(),
            classifier=classifier,
        )
        super().__init__(layers)


def _dense(inputs: int, hidden: int, classes: int) -> nn.Sequential:
    """Two hidden layers with dropout, then the last layer, as in AlexNet and VGG."""
    return nn.Sequential(
        nn.Dropout(0.2),
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def _convolution(inputs: int, outputs: int) -> Conv2dNormActivation:
    return Conv2dNormActivation(inputs, outputs, norm_layer=None, inplace=False)


def small_alexnet(classes: int, image_size: int) -> nn.Module:
    """AlexNet's plan: five plain convolutions with three poolings, then three linear layers."""
    features = nn.Sequential(
        _convolution(3, 32),
        nn.MaxPool2d(2),
        _convolution(32, 64),
        nn.MaxPool2d(2),
        _convolution(64, 96),
        _convolution(96, 64),
        _convolution(64, 64),
        nn.MaxPool2d(2),
    )
    return _Classifier(features, 2, _dense(64 * 2 * 2, 128, classes))


def small_vgg(classes: int, image_size: int) -> nn.Module:
    """VGG's plan: pairs of 3 × 3 convolutions between poolings (torchvision's `make_layers`)."""
    features = make_layers([16, 16, "M", 32, 32, "M", 64, 64, "M"], batch_norm=True)
    return _Classifier(features, 2, _dense(64 * 2 * 2, 128, classes))


class _SmallResNet(nn.Sequential):
    """A stem, bottleneck blocks in three widths, global pooling, one linear layer."""

    def __init__(self, classes: int) -> None:
        layers = OrderedDict(
            stem=Conv2dNormActivation(3, 16),
            layer1=_bottleneck(16, 8, stride=1),
            layer2=_bottleneck(32, 16, stride=2),
            layer3=_bottleneck(64, 32, stride=2),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(32 * Bottleneck.expansion, classes),
        )
        super().__init__(layers)


def _bottleneck(inputs: int, width: int, stride: int) -> Bottleneck:
    """One residual block whose shortcut is projected to the block's output."""
    outputs = width * Bottleneck.expansion
    shortcut = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    return Bottleneck(inputs, width, stride, shortcut)


def small_resnet(classes: int, image_size: int) -> nn.Module:
    """ResNet50's plan: a bottleneck block (torchvision's `Bottleneck`) in each of three stages."""
    return _SmallResNet(classes)


def small_vit(classes: int, image_size: int) -> nn.Module:
    """Torchvision's `VisionTransformer`: three layers of width 64 on a grid of 4 × 4 patches."""
    return VisionTransformer(
        image_size=image_size,
        patch_size=image_size // 4,
        num_layers=3,
        num_heads=4,
        hidden_dim=64,
        mlp_dim=128,
        num_classes=classes,
    )
