"""Which stages would run, and for each the reason in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.declaration import Cost
from pipeline.graph import Node, needs
from pipeline.memory import Memory, busy
from pipeline.params_file import Params

Action = Literal["current", "restore", "run"]
SHOWN = 4
"""Changed code files that are named; of more the number is."""


@dataclass(frozen=True)
class Step:
    """What would happen to one stage."""

    name: str
    action: Action
    reasons: list[str]
    cost: Cost
    """What running it would train; nothing where it would not run."""
    caution: str | None
    """What to know before it runs again on other inputs; else None."""


def plan(nodes: list[Node], params: Params, memory: Memory) -> list[Step]:
    """One step for every stage, in story order; changes nothing.

    A stage whose input is yet to be made is counted as running: if the input comes out as it was,
    it will be found current instead.
    """
    from dvc.lock import LockError
    from dvc.repo import lock_repo

    try:
        with lock_repo(memory.repo):
            return list(_steps(nodes, params, memory.repo))
    except LockError as error:
        raise busy("plan", error) from None


def _steps(nodes: list[Node], params: Params, repo: Any) -> Iterator[Step]:
    upstream = needs(nodes)
    actions: dict[str, Action] = {}
    restored: dict[str, Any] = {}
    for node in nodes:
        stage = repo.stage.load_one(name=node.name)
        waits_for = [name for name in upstream[node.name] if actions[name] == "run"]
        remade = tuple(f"artifacts/{name}/" for name in waits_for)
        reasons = list(_reasons(stage, restored, remade))
        again = _known(stage) and (bool(waits_for) or _other_inputs(stage, restored))
        if waits_for:
            reasons.append(f"{_listed(waits_for)} would run before it")
        action: Action = "current"
        if reasons:
            outs = None if waits_for else _remembered(stage, restored, repo)
            action = "run" if outs is None else "restore"
            restored |= outs or {}
        actions[node.name] = action
        yield _step(node, action, reasons, params, again)


def _step(node: Node, action: Action, reasons: list[str], params: Params, again: bool) -> Step:
    """`again`: whether it ran before, and its inputs are others now or may become so."""
    if action != "run":
        return Step(node.name, action, reasons, Cost(), None)
    caution = node.stage.caution(params) if again else None
    return Step(node.name, action, reasons, node.stage.cost(params), caution)


def _known(stage: Any) -> bool:
    return any(dependency.hash_info for dependency in stage.deps)


def _other_inputs(stage: Any, restored: Mapping[str, Any]) -> bool:
    """Whether another stage's result, as it is or is remembered, is not what it was."""
    return any(
        restored[dependency.def_path] != dependency.hash_info
        if dependency.def_path in restored
        else bool(dependency.status())
        for dependency in stage.deps
        if dependency.def_path.startswith("artifacts/")
    )


def _reasons(stage: Any, restored: Mapping[str, Any], remade: tuple[str, ...]) -> Iterator[str]:
    """Why the stage is not current, but for inputs in the folders `remade` before it."""
    from dvc.dependency.param import ParamsDependency

    if not _known(stage):
        yield "it is not in dvc.lock"
        return
    code: list[str] = []
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency):
            before = dependency.hash_info.value or {}
            yield from _differences(before, dependency.read_params())
        elif dependency.def_path.startswith(remade):
            continue
        elif dependency.def_path in restored:
            if restored[dependency.def_path] != dependency.hash_info:
                yield f"its input {dependency.def_path} will be another"
        elif status := dependency.status():
            told = _changed_file(dependency.def_path, next(iter(status.values())))
            if dependency.def_path.endswith(".py"):
                code.append(told)
            else:
                yield told
    if len(code) > SHOWN:
        yield f"{len(code)} code files differ"
    else:
        yield from code
    yield from _changed_outputs(stage)
    if stage.changed_stage():
        yield "its entry in dvc.yaml changed"


def _changed_outputs(stage: Any) -> Iterator[str]:
    by_state: dict[str, list[str]] = {}
    for output in stage.outs:
        for state in output.status().values():
            word = "changed" if state == "modified" else "missing"
            by_state.setdefault(word, []).append(output.def_path)
    for word, paths in by_state.items():
        verb = "is" if len(paths) == 1 else "are"
        what = "its output" if len(paths) == 1 else "its outputs"
        every = len(paths) == len(stage.outs) > 1
        yield f"all its outputs are {word}" if every else f"{what} {_listed(paths)} {verb} {word}"


def _changed_file(path: str, state: str) -> str:
    what = "code" if path.endswith(".py") else "file"
    word = {"modified": "changed", "deleted": "is missing", "new": "is new"}.get(state, state)
    return f"{what} {path} {word}"


def _differences(before: Any, after: Any, key: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            path = f"{key}.{name}" if key else str(name)
            if name not in before:
                yield f"parameter {path} is new: {after[name]}"
            elif name not in after:
                yield f"parameter {path} is gone"
            else:
                yield from _differences(before[name], after[name], path)
    elif before != after:
        yield f"parameter {key} changed from {before} to {after}"


def _remembered(stage: Any, restored: Mapping[str, Any], repo: Any) -> dict[str, Any] | None:
    """Hashes of the outputs, by path, that an earlier run with these inputs left; else None."""
    for dependency in stage.deps:
        if dependency.def_path in restored:
            dependency.hash_info = restored[dependency.def_path]
        elif not dependency.exists:
            return None
        else:
            dependency.save()
    entry = repo.stage_cache._load(stage)
    if not entry:
        return None
    remembered = repo.stage_cache._create_stage(entry, wdir=stage.wdir)
    if not remembered.outs_cached():
        return None
    return {output.def_path: output.hash_info for output in remembered.outs}


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def lines(steps: list[Step]) -> Iterator[str]:
    """The plan as text for a terminal."""
    width = max(len(step.name) for step in steps)
    for step in steps:
        yield f"{step.name:<{width}}  {step.action:<7}  {_cost_words(step.cost)}".rstrip()
        for reason in step.reasons:
            yield f"{'':<{width}}    because {reason}"
        if step.caution:
            yield f"{'':<{width}}    note: {step.caution}"
    running = [step for step in steps if step.action == "run"]
    if not running:
        restored = [step.name for step in steps if step.action == "restore"]
        yield f"Nothing to train. {'To restore: ' + _listed(restored) + '.' if restored else ''}"
        return
    total = Cost(sum(step.cost.fits for step in running), sum(step.cost.epochs for step in running))
    yield f"{len(running)} of {len(steps)} stages would run: {_cost_words(total) or 'no fits'}."


def _cost_words(cost: Cost) -> str:
    if not cost.fits:
        return ""
    return f"{cost.fits} fit{'s' if cost.fits > 1 else ''}, at most {cost.epochs} epochs"
