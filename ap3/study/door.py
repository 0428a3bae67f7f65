"""All that the workflow takes from the library, in one place."""

from ap3 import datasets
from ap3.config.user_code import folder_name, is_folder, own_modules
from ap3.config.yaml_text import mistake as yaml_mistake
from ap3.config.yaml_text import surprises as yaml_surprises
from ap3.errors import UserError
from ap3.figures.descriptions import describe as describe_figure
from ap3.figures.descriptions import names as figure_names
from ap3.files.results_lock import check_writable
from ap3.files.results_lock import take as take_results_lock
from ap3.machine.warm import PLACE as WARM_PLACE
from ap3.measuring.catalogue import law_modules
from ap3.measuring.catalogue import modules as measure_modules
from ap3.models.names import NO_WEIGHTS, is_file
from ap3.study.captions import caption_of
from ap3.study.captions import file as caption_file
from ap3.study.captions import read as read_caption
from ap3.study.code_digest import code_digest
from ap3.study.provenance import (
    content_digest,
    dataset_digest,
    figure_digest,
    library_versions,
    network_digest,
    page_digest,
    weights_digest,
)
from ap3.study.settings import read_studies

__all__ = [
    "NO_WEIGHTS",
    "WARM_PLACE",
    "UserError",
    "caption_file",
    "caption_of",
    "check_writable",
    "code_digest",
    "content_digest",
    "dataset_digest",
    "datasets",
    "describe_figure",
    "figure_digest",
    "figure_names",
    "folder_name",
    "is_file",
    "is_folder",
    "law_modules",
    "library_versions",
    "measure_modules",
    "network_digest",
    "own_modules",
    "page_digest",
    "read_caption",
    "read_studies",
    "take_results_lock",
    "weights_digest",
    "yaml_mistake",
    "yaml_surprises",
]
