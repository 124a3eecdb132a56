"""What a stage is: a function whose signature is the declaration.

    @stage(cost=lambda params: Cost(fits=1, epochs=params.epochs))
    def baseline(out: Candidate, development: Development, params: BaselineParams) -> None:
        "A plain network with plain settings."

`out` is the bundle the stage writes, `params` its section of params.yaml, `executor`, if there is
one, what runs many pieces at once; a parameter whose type is a `Section` is the section of that
name, which several stages share; every other parameter is an artifact it reads.

Inside a flow, calling the stage with artifacts hands the call to the door that is open (a trace,
a Prefect run, one DVC stage) and returns the typed artifacts, whether or not anything ran. This
module is in every stage's import closure, so it holds the declaration and nothing else.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_type_hints

from pipeline.artifacts import Artifact, Bundle
from pipeline.params import Section


@dataclass(frozen=True)
class Cost:
    """What a stage declares before it runs: fits, and epochs at the most over all of them."""

    fits: int = 0
    epochs: int = 0


def free() -> Cost:
    """The cost of a stage that trains nothing."""
    return Cost()


def silent() -> str | None:
    """Of a stage that there is nothing to know of before it runs."""
    return None


class Door(Protocol):
    """What happens when a flow calls a stage."""

    def call(self, stage: "Stage", inputs: dict[str, Artifact | Bundle], out: Bundle) -> None:
        """Record, run or skip the stage; on return `out` may be handed to later stages."""


_door: ContextVar[Door] = ContextVar("door")


@contextmanager
def through(door: Door) -> Iterator[None]:
    """Let every stage called inside the block go through `door`."""
    token = _door.set(door)
    try:
        yield
    finally:
        _door.reset(token)


@dataclass(frozen=True)
class Stage:
    """A declared stage; made by `stage`."""

    function: Callable[..., None]
    count: Callable[..., Cost]
    files: tuple[str, ...]
    warn: Callable[..., str | None]

    @property
    def name(self) -> str:
        """The one word for module, function, params section, artifacts folder and DVC stage."""
        return self.function.__name__

    @property
    def module(self) -> str:
        """Dotted name of the module that defines it."""
        return self.function.__module__

    @property
    def description(self) -> str:
        """The first line of the docstring, without its full stop."""
        return (inspect.getdoc(self.function) or self.name).splitlines()[0].rstrip(".")

    @property
    def types(self) -> dict[str, Any]:
        """The parameters' types by name, in order."""
        hints = get_type_hints(self.function)
        return {name: hints[name] for name in inspect.signature(self.function).parameters}

    @property
    def inputs(self) -> list[str]:
        """Names of the artifacts it reads, in order."""
        given = {"out", "executor", *self.sections}
        return [name for name in self.types if name not in given]

    @property
    def sections(self) -> dict[str, type[Section]]:
        """By parameter the types of the sections of params.yaml it takes: `params`, its own, which
        bears the stage's name in the file, and shared ones, which bear the parameter's."""
        return {
            name: kind
            for name, kind in self.types.items()
            if isinstance(kind, type) and issubclass(kind, Section)
        }

    def section_names(self) -> dict[str, str]:
        """By parameter the name of its section in params.yaml."""
        return {name: self.name if name == "params" else name for name in self.sections}

    @property
    def params_type(self) -> Any:
        """The pydantic model of its section, or None where it has no `params`."""
        return self.types.get("params")

    def cost(self, params: Mapping[str, Any]) -> Cost:
        """What it trains at the most, from the checked sections of params.yaml by name."""
        return self.count(**self._sections_for(self.count, params))

    def caution(self, params: Mapping[str, Any]) -> str | None:
        """What a plan should say of running it, likewise."""
        return self.warn(**self._sections_for(self.warn, params))

    def _sections_for(
        self, function: Callable[..., Any], params: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The sections that the function names: `params` is the stage's own."""
        wanted = inspect.signature(function).parameters
        return {name: params[self.name if name == "params" else name] for name in wanted}

    @property
    def fans_out(self) -> bool:
        """Whether it wants an executor."""
        return "executor" in self.types

    def out(self) -> Bundle:
        """Its outputs below artifacts/, relative to the project's folder."""
        bundle: Bundle = self.types["out"].at(Path("artifacts") / self.name)
        return bundle

    def __call__(self, *arguments: Artifact | Bundle) -> Any:
        """Hand the call to the open door and return the stage's typed outputs.

        Raises TypeError where the number or the type of the artifacts is not the declared one.
        """
        if len(arguments) != len(self.inputs):
            raise TypeError(
                f"{self.name} takes {len(self.inputs)} artifacts ({', '.join(self.inputs)}), "
                f"got {len(arguments)}"
            )
        given = dict(zip(self.inputs, arguments, strict=True))
        for name, artifact in given.items():
            if not isinstance(artifact, self.types[name]):
                raise TypeError(
                    f"{self.name}: {name} must be {self.types[name].__name__}, "
                    f"got {type(artifact).__name__}"
                )
        out = self.out()
        _door.get().call(self, given, out)
        return out


def stage(
    *,
    cost: Callable[..., Cost] = free,
    files: tuple[str, ...] = (),
    caution: Callable[..., str | None] = silent,
) -> Callable[[Callable[..., None]], Stage]:
    """Declare a function as a stage.

    `cost` gives the fits and epochs from the checked sections that it names: `params`, the stage's
    own, and any other of params.yaml by its name. The stage comes to depend on none of them: what
    it will train may follow from another stage's values, its result only from that stage's.
    `files` are dependencies that no import shows (templates, fonts), relative to the project's
    folder. `caution` says, from sections as `cost`, what a plan should say of running it, if
    anything.
    """

    def declare(function: Callable[..., None]) -> Stage:
        return Stage(function, cost, files, caution)

    return declare
