"""Unpickling of what a list allows, for PyTorch before 2.6, whose ``weights_only`` takes no list of one's own."""

import pickle
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn

# Typed as Any, since type checkers know the accelerated class instead, which has none of its methods.
_Unpickler: Any = pickle._Unpickler
# What the protocols 0, 1 and 4 have for objects, and a registry of numbers for classes: PyTorch writes none of them.
_UNUSED = (pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4)


def restricted_pickle(allowed: Mapping[str, Any], buildable: tuple[type, ...]) -> Any:
    """A module for ``torch.load(pickle_module=...)`` that finds and calls nothing but what ``allowed`` names.

    The standard library's pure-Python unpickler lets a subclass decide on each instruction: names are looked up in the
    list instead of being imported, only what stands in it is called, and only instances of ``buildable`` get a state,
    since a state could replace the attributes of a class or function.

    Args:
        allowed: Objects by ``module.name``, as a pickle names them.
        buildable: The types that may have a state of their own.
    """
    callables = [value for value in allowed.values() if callable(value)]

    class Unpickler(_Unpickler):
        """As above; PyTorch subclasses it, and adds its storages to what is found."""

        dispatch: ClassVar = dict(_Unpickler.dispatch)

        def find_class(self, module: str, name: str) -> Any:
            try:
                return allowed[f"{module}.{name}"]
            except KeyError:
                raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

        def load_call(self) -> None:
            self._check_call()
            super().load_reduce()

        def load_new(self) -> None:
            self._check_call()
            super().load_newobj()

        def _check_call(self) -> None:
            function, arguments = self.stack[-2:]
            if not any(function is one for one in callables) or not isinstance(arguments, tuple):
                raise pickle.UnpicklingError(f"it asks for a call of {function!r:.80}")

        def load_state(self) -> None:
            if not isinstance(self.stack[-2], buildable):
                raise pickle.UnpicklingError(f"it asks for a change of {self.stack[-2]!r:.80}")
            super().load_build()

        def refuse(self) -> NoReturn:
            raise pickle.UnpicklingError("it asks for an instruction that no checkpoint has")

        dispatch[pickle.REDUCE[0]] = load_call
        dispatch[pickle.NEWOBJ[0]] = load_new
        dispatch[pickle.BUILD[0]] = load_state
        dispatch |= dict.fromkeys((code[0] for code in _UNUSED), refuse)

    return SimpleNamespace(
        __name__=__name__, Unpickler=Unpickler, load=lambda file, **options: Unpickler(file, **options).load()
    )
