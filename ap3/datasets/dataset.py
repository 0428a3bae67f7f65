"""What a data set promises, and the one way in: checked files, decoded, counted."""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ap3.config import user_code
from ap3.datasets.raw.checksum import check
from ap3.datasets.sources import RemoteFile
from ap3.errors import InvalidFileError, InvalidTypeError, InvalidValueError

if TYPE_CHECKING:
    from ap3.datasets.images import Images


@dataclass(frozen=True)
class DataSet:
    """A data set of the registry, or of the user.

    Attributes
    ----------
    name
        As users write it; `package.module:function` or `folder:PATH` of one of their own.
    train, test
        How many images each split holds; unknown of a data set of the user.
    files
        The raw files that `decode` reads; none where a package ships the data.
    """

    name: str
    train: int | None = None
    test: int | None = None
    files: tuple[RemoteFile, ...] = ()

    @property
    def module(self) -> str:
        """Full name of the module that reads the images: with a function `decode`, or the user's."""
        if user_code.is_own(self.name):
            return user_code.module_of(self.name)
        if user_code.is_folder(self.name):
            return "ap3.datasets.folder"
        return f"ap3.datasets.{self.name.replace('-', '_')}"

    def file(self, name: str) -> RemoteFile:
        """Return the raw file called `name`.

        Raises
        ------
        UserError
            If this data set has no such file.
        """
        for file in self.files:
            if file.name == name:
                return file
        known = ", ".join(file.name for file in self.files) or "none: a package ships its data"
        raise InvalidValueError(
            f"{self.name} has no raw file {name!r}; its raw files are: {known}."
        )

    def decode(self, raw: Path | None = None) -> "Images":
        """Read the data set from the folder `raw`, after checking every file's digest.

        Raises
        ------
        UserError
            If a file is missing or is another than the table of sources says, or if its content
            is not what the data set promises.

        Examples
        --------
        >>> DataSet("digits", train=1_437, test=360).decode().train_images.shape
        (1437, 1, 8, 8)
        """
        if user_code.is_own(self.name):
            return self._made_by_user()
        if user_code.is_folder(self.name):
            from ap3.datasets.folder import decode

            return decode(user_code.folder_of(self.name), self.name)
        self._check_files(raw)
        images: Images = import_module(self.module).decode(raw)
        found = len(images.train_labels), len(images.test_labels)
        if found != (self.train, self.test):
            raise InvalidFileError(
                f"{self.name} must hold {self.train} training and {self.test} test images, but the "
                f"files in {raw} hold {found[0]} and {found[1]}; fetch them again."
            )
        return images

    def _made_by_user(self) -> "Images":
        from ap3.datasets.images import Images

        images = user_code.load(self.name, "data set", ())()
        if not isinstance(images, Images):
            raise InvalidTypeError(
                f"the data set {self.name!r} returned {type(images).__name__}, but must return "
                "ap3.datasets.images.Images."
            )
        return replace(images, name=self.name)

    def _check_files(self, raw: Path | None) -> None:
        for file in self.files:
            if raw is None:
                raise InvalidValueError(
                    f"{self.name} needs the folder that holds its {file.name}; give it by --raw, or let "
                    "ap3 fetch download the file."
                )
            check(raw / file.name, file)
