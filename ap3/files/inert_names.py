"""The names that stand beside weights in checkpoints and are harmless: words, none of them imported."""

_CLASSES = {
    "argparse": ("Namespace",),
    "types": ("SimpleNamespace",),
    "copyreg": ("_reconstructor",),
    "datetime": ("datetime", "date", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
    "builtins": (
        *(
            "object",
            "bool",
            "int",
            "long",
            "float",
            "complex",
            "str",
            "bytes",
            "bytearray",
            "tuple",
        ),
        *("slice", "range"),
    ),
    "numpy": ("ndarray",),
    "numpy._core.multiarray": ("scalar",),
    "numpy.random._pickle": ("__randomstate_ctor", "__bit_generator_ctor", "__generator_ctor"),
    "numpy.random._mt19937": ("MT19937",),
    "numpy.random._pcg64": ("PCG64", "PCG64DXSM"),
    "numpy.random.bit_generator": ("SeedSequence", "__pyx_unpickle_SeedSequence"),
    "torch": (
        *("device", "Tensor", "strided", "contiguous_format"),
        *("per_tensor_affine", "per_channel_affine"),
        *("per_tensor_symmetric", "per_channel_symmetric"),
    ),
    "torch.nn.parameter": ("Parameter", "Buffer"),
    "torch.torch_version": ("TorchVersion",),
    # Configurations and histories, as libraries of training loops save them beside the weights.
    "typing": ("Any",),
    "functools": ("partial",),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.nodes": tuple(
        f"{kind}Node"
        for kind in ("Any", "String", "Integer", "Float", "Boolean", "Bytes", "Path", "Enum")
    ),
    "addict.addict": ("Dict",),
    "easydict": ("EasyDict",),
    "yacs.config": ("CfgNode",),
    "fvcore.common.config": ("CfgNode",),
    "mmengine.config.config": ("Config", "ConfigDict"),
    "mmengine.logging.history_buffer": ("HistoryBuffer",),
    "lightning_fabric.utilities.data": ("AttributeDict",),
    "lightning.fabric.utilities.data": ("AttributeDict",),
    "pytorch_lightning.utilities.parsing": ("AttributeDict",),
}
_PATHS = ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
_INERT = frozenset(
    f"{module}.{name}"
    for module, names in (_CLASSES | {"pathlib": _PATHS, "pathlib._local": _PATHS}).items()
    for name in names
)
_TYPES = frozenset(
    (
        *("float16", "float32", "float64", "bfloat16", "half", "float", "double"),
        *("bool", "complex32", "complex64", "complex128"),
        *("uint8", "int8", "int16", "int32", "int64", "short", "int", "long"),
        *("uint16", "uint32", "uint64", "qint8", "quint8", "qint32"),
        *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
        *("float8_e8m0fnu", "float4_e2m1fn_x2"),
    )
)
_STORAGES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "QInt8": "int8",
    "QUInt8": "uint8",
    "QInt32": "int32",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "Untyped": "uint8",
}


def is_inert(path: str) -> bool:
    """Say whether a class, or a type of torch, stands beside weights and is never made.

    Parameters
    ----------
    path
        Its address.

    Examples
    --------
    >>> is_inert("argparse.Namespace"), is_inert("torch.float32"), is_inert("os.system")
    (True, True, False)
    """
    is_type = path.startswith("torch.") and path.removeprefix("torch.") in _TYPES
    return path in _INERT or is_type or storage_type(path) is not None


def storage_type(path: str) -> str | None:
    """Name the type of numbers in a class of storages; None if it is none.

    Parameters
    ----------
    path
        Address of the class.

    Examples
    --------
    >>> storage_type("torch.HalfStorage"), storage_type("torch.Tensor")
    ('float16', None)
    """
    module, _, name = path.rpartition(".")
    is_storage = module in ("torch", "torch.cuda", "torch.storage") and name.endswith("Storage")
    return _STORAGES.get(name.removesuffix("Storage")) if is_storage else None
