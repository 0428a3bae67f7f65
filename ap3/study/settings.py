"""A study: which networks on which data, how they are trained, pruned, fine-tuned and measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ap3 import datasets
from ap3.config import compressions, user_code
from ap3.config.schema import in_one_spelling, mistakes, nearest, with_defaults
from ap3.config.variants import CRITERIA, DATA_AWARE, MODES, Variant, drawn, variants
from ap3.errors import InvalidValueError, UserError
from ap3.figures import descriptions
from ap3.figures.roles import ANY, Roles
from ap3.models.names import NO_WEIGHTS, are_known, is_known

Pair = tuple[str, str]
"""A data set and a network, by name."""

Place = tuple[str, str]
"""A data slot and the role of a network."""

_RECIPE = ("epochs", "learning_rate", "weight_decay")


@dataclass(frozen=True)
class Study:
    """The settings of one study, checked and complete, and what follows from them."""

    name: str
    settings: Mapping[str, Any]

    @property
    def over_layers(self) -> bool:
        """Whether networks are pruned in any layers, or not fine-tuned: measured as a whole."""
        pruning, finetuning = self.settings["pruning"], self.settings["finetuning"]
        layers = pruning.get("layers", "last")  # not in the settings of a study made long ago
        return layers != "last" or finetuning["scope"] == "none"

    @property
    def has_views(self) -> bool:
        """Whether the last layer is tuned on augmented views, apart from the images as they are."""
        in_head = self.settings["finetuning"]["scope"] == "head"
        return in_head and self.settings["training"]["augmentation"] != "none"

    @property
    def trials(self) -> range:
        """Numbers of the trials, from 1."""
        return range(1, self.settings["trials"] + 1)

    @property
    def variants(self) -> list[Variant]:
        """The control and every mode at every ratio."""
        pruning = self.settings["pruning"]
        return variants(pruning["modes"], pruning["ratios"])

    @property
    def looks_at_data(self) -> bool:
        """Whether a criterion of the study looks at features of the training images."""
        return any(mode in DATA_AWARE for mode in self.settings["pruning"]["modes"])

    @property
    def random_masks(self) -> int:
        """How many random masks are drawn at each ratio, beside the mode `random`."""
        return int(self.settings["pruning"].get("random_masks", 0))

    @property
    def with_random_masks(self) -> list[Variant]:
        """The variants, and behind them the random masks."""
        return [*self.variants, *drawn(self.settings["pruning"]["ratios"], self.random_masks)]

    @cached_property
    def networks(self) -> dict[str, Mapping[str, Any]]:
        """The networks by the role that they play, first those that figures of the paper know."""
        networks = dict(self.settings["networks"])
        others = networks.pop("others", {})
        return networks | others

    @cached_property
    def roles(self) -> Roles:
        """Which network and which data set stand for which role of a figure."""
        networks = {role: network["model"] for role, network in self.networks.items()}
        data = {slot: _dataset(entry) for slot, entry in self.settings["data"].items()}
        return Roles(
            networks, {ANY if slot == "any" else slot: name for slot, name in data.items()}
        )

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every (data set, network) of the study, each once."""
        return list(self._places)

    @cached_property
    def _places(self) -> dict[Pair, Place]:
        """Where each pair stands, the first place if there are several."""
        places: dict[Pair, Place] = {}
        for pair, place in self._stands():
            places.setdefault(pair, place)
        return places

    def _stands(self) -> Iterator[tuple[Pair, Place]]:
        """Go through all places: each pair with its data slot and its role."""
        for role, network in self.networks.items():
            for slot in network.get("data", self.settings["data"]):
                yield (self.roles.data_set(slot, self.name), network["model"]), (slot, role)

    def doubled(self) -> Iterator[str]:
        """Name the pairs of which two places ask different things, in sentences."""
        for pair, place in self._stands():
            first = self._places[pair]
            if self._asked(*first) != self._asked(*place):
                yield (
                    f"studies.{self.name} has {pair[1]} on {pair[0]} twice and in two ways, as "
                    f"{first[1]} on {first[0]} and as {place[1]} on {place[0]}; a study trains a network "
                    "on a data set in one way: put the other into a study of its own."
                )

    def _asked(self, slot: str, role: str) -> tuple[Any, ...]:
        """Say what is asked of a place: images, recipe, size and weights."""
        weights = self.networks[role]["weights"]
        return self._examples(slot), self._recipe(slot, role), self._image_size(role), weights

    def image_size(self, dataset: str, model: str) -> int | None:
        """Return the input size of a pair's network, in pixels; None leaves it to its weights."""
        return self._image_size(self._places[dataset, model][1])

    def _image_size(self, role: str) -> int | None:
        return self.networks[role].get("image_size", self.settings["image_size"])

    def weights(self, dataset: str, model: str) -> str:
        """Return what a pair's network starts from: a name of weights, a file, or none."""
        _, role = self._places[dataset, model]
        return self.networks[role]["weights"]

    def examples(self, dataset: str, model: str) -> int | None:
        """Return how many training images a pair uses; None for all."""
        return self._examples(self._places[dataset, model][0])

    def _examples(self, slot: str) -> int | None:
        entry = self.settings["data"][slot]
        return None if isinstance(entry, str) else entry.get("examples")

    def recipe(self, dataset: str, model: str) -> dict[str, Any]:
        """How the baseline of a pair is trained: options of `ap3 baseline`."""
        return self._recipe(*self._places[dataset, model])

    def _recipe(self, slot: str, role: str) -> dict[str, Any]:
        network = self.networks[role]
        own = {key: network[key] for key in ("epochs", "learning_rate")}
        entry = self.settings["data"][slot]
        place = {} if isinstance(entry, str) else entry
        return (
            self.settings["training"] | own | {key: place[key] for key in place if key in _RECIPE}
        )

    def finetuning_recipe(self, dataset: str, model: str) -> dict[str, Any]:
        """How the variants of a pair are fine-tuned: options of `ap3 finetune`.

        The baseline's recipe with epochs of its own and, if set, a learning rate of its own.
        """
        finetuning = self.settings["finetuning"]
        recipe = self.recipe(dataset, model) | {"epochs": finetuning["epochs"]}
        if finetuning["learning_rate"] is not None:
            recipe["learning_rate"] = finetuning["learning_rate"]
        return recipe

    @cached_property
    def figures(self) -> list[str]:
        """Names of the study's figures: those it lists, or all whose roles it maps."""
        wanted = self.settings["figures"]
        if self.over_layers:
            return []  # those of the paper are of the last layer
        return (
            [name for name in descriptions.names() if self._maps(name)]
            if wanted is None
            else wanted
        )

    def figure_pairs(self, figure: str) -> list[Pair]:
        """Name the pairs that a figure is drawn from, in the order of the study.

        Raises
        ------
        UserError
            If the figure is unknown, or the study maps one of its roles to nothing.
        """
        needed = {
            (data, network) for network, data in descriptions.describe(figure).needs(self.roles)
        }
        absent = needed - set(self.pairs)
        if absent:
            dataset, model = sorted(absent)[0]
            raise InvalidValueError(
                f"{figure} needs {model} on {dataset}, which study {self.name!r} does not train; "
                f"add the place of {dataset} to the data of that network, or leave {figure} out."
            )
        return [pair for pair in self.pairs if pair in needed]

    def _maps(self, figure: str) -> bool:
        try:
            self.figure_pairs(figure)
        except UserError:
            return False
        return True


def read_studies(config: Mapping[str, Any], schema: dict[str, Any]) -> dict[str, Study]:
    """Check a whole configuration and return its studies by name.

    Raises
    ------
    UserError
        With one sentence for each mistake, a line each.
    """
    wrong = mistakes(config, schema)
    if not wrong:
        complete = in_one_spelling(with_defaults(config, schema))
        studies = {
            name: Study(name, _with_order(settings))
            for name, settings in complete["studies"].items()
        }
        wrong = [sentence for study in studies.values() for sentence in _unknown_names(study)]
        if config["study"] not in studies:
            known = ", ".join(studies)
            wrong.append(
                f"study is {config['study']!r}, but must be one of {known}"
                f"{nearest(config['study'], studies)}"
            )
    if wrong:
        raise InvalidValueError("\n".join(wrong))
    return studies


def _with_order(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Choose the order in memory that CUDA cards are fast in, where a study leaves it open.

    Tensor cores take channels last and multiply in tf32 and bfloat16; float32 goes without them.
    """
    if settings["training"]["channels_last"] is not None:
        return settings
    training = settings["training"] | {"channels_last": settings["precision"] != "float32"}
    return {**settings, "training": training}


def _unknown_names(study: Study) -> list[str]:
    """Find data sets, networks, slots and figures that do not exist."""
    where = f"studies.{study.name}"
    wrong = []
    for slot, entry in study.settings["data"].items():
        wrong += _unknown_data(_dataset(entry), f"{where}.data.{slot}")
    for index, mode in enumerate(study.settings["pruning"]["modes"]):
        if not compressions.is_compression(mode):
            modes = (*MODES, *compressions.COMPRESSIONS) if study.over_layers else CRITERIA
            wrong += _unknown(mode, f"{where}.pruning.modes[{index}]", modes)
    wrong += _unfit(study, where)
    if study.random_masks and study.settings["finetuning"]["scope"] != "head":
        wrong.append(
            f"{where}.pruning.random_masks is {study.random_masks}, but many masks are tuned in scope "
            "head only; set finetuning.scope to head, or random_masks to 0."
        )
    for index, law in enumerate(study.settings["latent"]["own"]):
        wrong += _unknown(law, f"{where}.latent.own[{index}]", ())
    for role, network in study.networks.items():
        found, hint = is_known(network["model"])
        if not found:
            wrong.append(f"{where}.networks.{role}.model is {network['model']!r}, but {hint}")
        else:
            wrong += _unknown_start(study, network, f"{where}.networks.{role}")
        for slot in network.get("data", ()):
            if slot not in study.settings["data"]:
                slots = ", ".join(study.settings["data"])
                wrong.append(
                    f"{where}.networks.{role}.data names {slot!r}, but the study's data has only "
                    f"{slots}."
                )
    for figure in study.settings["figures"] or ():
        if figure not in descriptions.names():
            known = ", ".join(descriptions.names())
            wrong.append(f"{where}.figures names {figure!r}, but must name some of {known}.")
    return wrong or [*study.doubled(), *_impossible_figures(study, where)]


def _unfit(study: Study, where: str) -> list[str]:
    """Find settings of pruning and of fine-tuning that do not go together."""
    pruning, finetuning = study.settings["pruning"], study.settings["finetuning"]
    scope, several = finetuning["scope"], pruning["layers"] != "last"
    wrong = []
    if several and scope == "head":
        wrong.append(
            f"{where}.finetuning.scope is head, in which only the last layer learns, but "
            "pruning.layers names others; take the scope all or none."
        )
    if scope != "none" and finetuning["epochs"] is None:
        wrong.append(f"{where}.finetuning lacks the key 'epochs'; add it, or take the scope none.")
    if not study.over_layers and pruning["allocation"] != "uniform":
        wrong.append(
            f"{where}.pruning.allocation shares a ratio out over several layers, but pruning.layers "
            "is last; take the layers all."
        )
    if study.over_layers and study.settings["figures"] is not None:
        wrong.append(
            f"{where}.figures names figures of the paper, which are of the last layer; leave them "
            "out, as this study draws its own."
        )
    for mode in filter(compressions.is_compression, pruning["modes"]):
        wrong += _unfit_mode(mode, study, where)
    return wrong


def _unfit_mode(mode: str, study: Study, where: str) -> list[str]:
    """Find what a compression does not go together with."""
    pruning = study.settings["pruning"]
    if not study.over_layers:
        return [
            f"{where}.pruning.modes names {mode}, which only studies over any layers know; set "
            "pruning.layers, or the scope none."
        ]
    if pruning["allocation"] == "global":
        return [
            f"{where}.pruning.allocation is global, but {mode} does not score single weights; take "
            "uniform or {random: K}."
        ]
    size = compressions.group_size(mode)
    if size and pruning["allocation"] == "uniform":
        for ratio in pruning["ratios"]:
            if abs(ratio * size - round(ratio * size)) > 1e-9:
                return [
                    f"{where}.pruning.ratios has {ratio:g}, but {mode} prunes whole weights of every "
                    f"{size}; take multiples of 1/{size}."
                ]
    return []


def _impossible_figures(study: Study, where: str) -> list[str]:
    """Find figures that the study lists and has not the networks or data sets for."""
    wrong = []
    for figure in study.settings["figures"] or ():
        try:
            study.figure_pairs(figure)
        except UserError as error:
            wrong.append(f"{where}.figures: {error}")
    return wrong


def _unknown(name: str, where: str, known: tuple[str, ...]) -> list[str]:
    """Say that a name is neither one of `known` nor the user's own, `package.module:function`."""
    if name in known:
        return []
    if user_code.is_own(name):
        found, hint = user_code.is_importable(name)
        return [] if found else [f"{where} is {name!r}, but {hint}"]
    choice = f"one of {', '.join(known)}, or " if known else ""
    return [
        f"{where} is {name!r}, but must be {choice}package.module:function{nearest(name, known)}"
    ]


def _unknown_data(name: str, where: str) -> list[str]:
    """Say that a data set is none of ours, no function of the user's, and no folder of images."""
    if user_code.is_folder(name):
        found = user_code.folder_of(name).is_dir()
        return [] if found else [f"{where} is {name!r}, but there is no such folder; correct it."]
    return _unknown(name, where, datasets.names())


def _unknown_start(study: Study, network: Mapping[str, Any], where: str) -> list[str]:
    """Find weights that do not exist, and an input size that nothing tells."""
    weights = network["weights"]
    known, hint = are_known(weights, network["model"])
    if not known:
        return [f"{where}.weights is {weights!r}, but {hint}"]
    if weights == NO_WEIGHTS and not network.get("image_size", study.settings["image_size"]):
        return [f"{where} has neither weights nor image_size; give the study or it an image_size."]
    return []


def _dataset(entry: str | Mapping[str, Any]) -> str:
    return entry if isinstance(entry, str) else entry["dataset"]
