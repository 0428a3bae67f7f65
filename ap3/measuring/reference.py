"""What pruned networks are measured from: a baseline's layers, its task, and the laws at them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from ap3.errors import InvalidValueError
from ap3.latent.law import Law
from ap3.latent.vectors import Vector
from ap3.measuring import catalogue
from ap3.measuring.catalogue import Measure
from ap3.measuring.covariance import load_covariance
from ap3.measuring.head_loss import HeadLoss
from ap3.measuring.laws import AUTO, BaselineLayer, Scales, own_laws
from ap3.pruning.pruned import Origin, read_unpruned
from ap3.training.splits import Split


@dataclass(frozen=True, eq=False)
class Reference:
    """A baseline: its layers by name, what the last one was trained to do, and the latent laws.

    Attributes
    ----------
    origin
        Which baseline.
    head
        The name of its last layer.
    layers
        The layers that pruning may touch, the last one among them.
    loss
        The task, as a function of the last layer.
    laws
        By the measure whose law it is and the name of the layer.
    """

    origin: Origin
    head: str
    layers: Mapping[str, BaselineLayer]
    loss: HeadLoss
    laws: Mapping[Measure, Mapping[str, Law]]

    @classmethod
    def read(
        cls,
        checkpoint: Path,
        train: Split,
        covariance: Path,
        df: float = 4.0,
        groups: int | None = None,
        examples: int | None = None,
        own: Iterable[str] = (),
        scales: Scales = AUTO,
    ) -> Self:
        """Read what `ap3 baseline` and `ap3 covariance` wrote.

        Parameters
        ----------
        checkpoint
            The baseline.
        train
            What the last layer sees of the training split.
        covariance
            V and Λ of the non-diagonal law.
        df, groups
            Of the Student-t law.
        examples
            How many training examples stand for the training split, drawn once for a baseline;
            all if there are no more, or if None.
        own
            Latent laws of the user's, `package.module:function`; each takes the baseline's weights.
        scales
            Of the laws, where they are not to follow from the baseline.

        Raises
        ------
        UserError
            If a file is missing or holds something else, or the features are another layer's.
        """
        baseline = read_unpruned(checkpoint)
        head = baseline.only_layer
        layer = baseline.layers[head]
        if train.features.shape[1:] != layer.weight.shape[1:]:
            raise InvalidValueError(
                f"the features are of shape {train.features.shape}, but the last layer of "
                f"{checkpoint} sees {layer.weight.shape[1]} numbers; give what ap3 features made "
                "of that checkpoint."
            )
        train.check_layer(layer.weight)
        seen = train.sample(examples, baseline.origin.seed_of("examples"))
        loss = HeadLoss(seen.features, seen.labels)
        rotation, spectrum = load_covariance(covariance)
        known = BaselineLayer(
            layer.weight, layer.bias, loss.features, rotation, spectrum, df, groups, scales
        )
        return cls.of(baseline.origin, head, {head: known}, loss, own)

    @classmethod
    def of(
        cls,
        origin: Origin,
        head: str,
        layers: Mapping[str, BaselineLayer],
        loss: HeadLoss,
        own: Iterable[str] = (),
    ) -> Self:
        """Set up every law of the catalogue, and the user's own, at each layer that has it."""
        laws: dict[Measure, dict[str, Law]] = {}
        for measure in catalogue.MEASURES:
            if measure.law:
                made = catalogue.function(measure.law)
                found = {name: made(layer) for name, layer in layers.items()}
                laws[measure] = {name: law for name, law in found.items() if law is not None}
        names = [*own]
        for layer_name, layer in layers.items():
            for measure, law in own_laws(names, layer.weight).items():
                laws.setdefault(measure, {})[layer_name] = law
        return cls(origin, head, layers, loss, laws)

    @property
    def measures(self) -> list[Measure]:
        """Every measure that is computed, in the order of its column."""
        known = catalogue.computed()
        mine = [measure for measure in self.laws if measure not in known]
        last = max(i for i, measure in enumerate(known) if measure.law) + 1
        return [*known[:last], *mine, *known[last:]]

    @property
    def layer(self) -> BaselineLayer:
        """The last layer."""
        return self.layers[self.head]

    def law(self, column: str) -> Law:
        """Return the last layer's law of a measure."""
        return next(laws for measure, laws in self.laws.items() if measure.column == column)[
            self.head
        ]

    @property
    def scales(self) -> dict[str, float]:
        """The scales of the last layer's laws as they came out: columns of a table."""
        return {
            column: float(getattr(laws[self.head], attribute))
            for measure, laws in self.laws.items()
            if self.head in laws
            for column, attribute in measure.scales.items()
        }

    @property
    def value(self) -> float:
        """Loss of the baseline on its examples."""
        return self._at_baseline[0]

    @property
    def gradient(self) -> Vector:
        """∂L/∂W of that loss in the last layer's weights, (C, d)."""
        return self._at_baseline[1]

    @cached_property
    def _at_baseline(self) -> tuple[float, Vector]:
        return self.loss.value_and_gradient(self.layer.weight, self.layer.shift)
