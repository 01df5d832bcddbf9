"""Classes found by name: those of a package, one a file, and those that installed packages give by an entry point."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
from functools import cached_property
from typing import Generic, TypeVar

from spikeflow.errors import ParameterError, said

Member = TypeVar("Member")


class Family(Generic[Member]):
    """All classes of one base, by the name of their file or of their entry point.

    Args:
        package: the package with one class a file; a file's name is the class's.
        base: the class that all derive from.
        noun: what one is called in an error, such as "learning rule".
        group: the group of entry points by which other packages give theirs.
    """

    def __init__(self, package: str, base: type[Member], noun: str, group: str) -> None:
        self.package, self.base, self.noun, self.group = package, base, noun, group

    def holds(self, found: object) -> bool:
        """Whether something is a class that could be a member."""
        return isinstance(found, type) and issubclass(found, self.base) and not inspect.isabstract(found)

    @cached_property
    def members(self) -> dict[str, type[Member]]:
        """Every member by name, sorted; an installed one that cannot be loaded is left out, and in `broken`.

        Raises:
            ParameterError: a file that does not hold just one.
        """
        return dict(sorted((self._installed[0] | self._own()).items()))

    @property
    def broken(self) -> dict[str, ParameterError]:
        """Why an installed one cannot be had, by name: nobody needs to know before they name it."""
        return self._installed[1]

    def forget(self) -> None:
        """Look again at the next question: something may have been installed."""
        for name in ("members", "_installed"):
            self.__dict__.pop(name, None)

    def _own(self) -> dict[str, type[Member]]:
        found = {}
        path = importlib.import_module(self.package).__path__
        for name in sorted(one.name for one in pkgutil.iter_modules(path)):
            module = importlib.import_module(f"{self.package}.{name}")
            here = {one for one in vars(module).values() if self.holds(one) and one.__module__ == module.__name__}
            if len(here) != 1:
                raise ParameterError(f"{module.__name__} holds {len(here)} {self.noun}s", "leave one in the file")
            (found[name],) = here
        return found

    @cached_property
    def _installed(self) -> tuple[dict[str, type[Member]], dict[str, ParameterError]]:
        found: dict[str, type[Member]] = {}
        lacking: dict[str, ParameterError] = {}
        for entry in importlib.metadata.entry_points(group=self.group):
            try:
                given = entry.load()
            except (Exception, SystemExit) as error:  # a third party's module may do anything while it is imported
                lacking[entry.name] = not_imported(entry.name, entry.value, error)
                continue
            if self.holds(given):
                found.setdefault(entry.name, given)
            else:
                hint = f"name a subclass of {self.base.__name__}"
                lacking[entry.name] = ParameterError(f"{entry.value} is no {self.noun}", hint)
        return found, lacking


def not_imported(kind: str, module: str, error: BaseException) -> ParameterError:
    """What to say of a kind whose module failed while it was imported."""
    hint = "install what it needs" if isinstance(error, ImportError) else f"mend {module}"
    return ParameterError(f"{kind!r} cannot be imported: {said(error)}", hint)


__all__ = ["Family", "not_imported"]
