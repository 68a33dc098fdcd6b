"""``grader fixtures build|check``: the cases with the reference's answers, public and hidden apart."""

from __future__ import annotations

import hashlib
import json
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grader import locations
from grader.assignment import Assignment
from grader.authoring import cases_lab1, cases_lab2, cases_lab3
from grader.authoring.mistakes import difference, public_hypotheses
from grader.authoring.tiny import load_reference, make_tiny, recipe_key
from grader.cases import Arrays, Case, CaseSet, load_cases, save_cases
from grader.diagnosis.hypotheses import load_hypotheses, save_hypotheses
from grader.errors import GraderError, StaleOutput
from grader.evaluator import Evaluator
from grader.interview import Interview
from grader.oracle import term_key

__all__ = ["build", "build_cases", "check", "source_key"]

_TINY = ("train.", "test.", "net.")
_WANTED_ACCURACY = 0.95
_GOLDEN_PROBES = ("lab1.function", "lab1.solver", "lab2.evaluate", "lab3.layer", "lab3.accuracy_by_bits")


def source_key() -> str:
    """A digest of all that goldens are made from: the reference, the cases and the probes."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    folders = (locations.instructor_folder("reference"), package / "authoring", package / "probes")
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def build(assignment: Assignment, folder: Path, *, retrain: bool = False) -> None:
    """Write ``public`` and ``hidden`` cases below ``folder``, and what known mistakes answer to the public ones.

    The small network is trained only when its recipe has changed or ``retrain`` is set, since training gives other
    bits on other processors; everything else follows from it deterministically.

    Raises:
        GraderError: this is not the instructor's checkout, or scikit-learn is missing.
    """
    public = build_cases(assignment, folder, retrain=retrain)
    save_hypotheses(folder / "public", public_hypotheses(assignment, public))


def build_cases(assignment: Assignment, folder: Path, *, retrain: bool = False) -> CaseSet:
    """The part of ``build`` that needs no catalogue; the public cases."""
    tiny = _tiny(retrain)
    shared = tiny | _pruned(assignment, tiny)
    term = assignment.term
    public, hidden = (
        _answered([*lab1(term), *lab2(term, tiny), *lab3(term, tiny)], shared, assignment)
        for lab1, lab2, lab3 in (
            (cases_lab1.public, cases_lab2.public, cases_lab3.public),
            (cases_lab1.hidden, cases_lab2.hidden, cases_lab3.hidden),
        )
    )
    hidden.cases["problem1/verdicts"] = _verdicts()
    hidden.shared = {name: a for name, a in shared.items() if not name.startswith("test.")}
    save_cases(folder / "public", public)
    save_cases(folder / "hidden", hidden)
    (folder / "recipe.json").write_text(json.dumps({"tiny": recipe_key()}) + "\n", encoding="utf-8")
    return public


def _tiny(retrain: bool) -> Arrays:
    """Images and network: the committed ones while their recipe stands."""
    committed = locations.fixtures()
    recipe = committed / "recipe.json"
    fresh = recipe.is_file() and json.loads(recipe.read_text())["tiny"] == recipe_key()
    if fresh and not retrain:
        shared = load_cases(committed / "public").shared
        return {name: array for name, array in shared.items() if name.startswith(_TINY)}
    try:
        return make_tiny()
    except ModuleNotFoundError as error:
        raise GraderError(f"{error.name} is needed to build the fixtures: pip install -e '.[dev]'") from None


def _pruned(assignment: Assignment, tiny: Arrays) -> Arrays:
    """The network pruned to the term's sparsity, layer by layer and globally, by the reference."""
    import torch

    lab2, resnet20 = load_reference("lab2_pruning"), load_reference("resnet20")
    found: Arrays = {}
    for prefix in ("sparse.", "global."):
        net = resnet20.ResNetCIFAR(**cases_lab2.TRAINING["net"])
        net.load_state_dict(
            {n.removeprefix("net."): torch.from_numpy(a) for n, a in tiny.items() if n.startswith("net.")}
        )
        if prefix == "global.":
            lab2.global_prune_by_percentage(net, assignment.term.target_sparsity)
        else:
            for layer in lab2.prunable_layers(net).values():
                lab2.prune_by_percentage(layer, assignment.term.target_sparsity)
        found |= {prefix + name: tensor.numpy() for name, tensor in net.state_dict().items()}
    return found


def _verdicts() -> Case:
    path = locations.instructor_folder("reference") / "answers.toml"
    answers = tomllib.loads(path.read_text(encoding="utf-8"))
    facts = {part: table["verdict"] == "true" for part, table in answers.items() if part.startswith("p1.")}
    return Case(id="problem1/verdicts", probe="", module="", params={}, facts=facts)


def _answered(cases: Iterable[Case], shared: Arrays, assignment: Assignment) -> CaseSet:
    """The cases with the reference's answers, obtained through the same probes."""
    case_set = CaseSet({case.id: case for case in cases}, shared, term_key(assignment))
    reference = locations.instructor_folder("reference")
    evaluator = Evaluator(reference, assignment.limits, case_set)
    try:
        with Interview(reference, assignment.limits) as interview:
            for case in list(case_set.cases.values()):
                golden = _golden(case, interview, case_set, evaluator)
                case_set.cases[case.id] = case.model_copy(update=golden)
    finally:
        evaluator.close()
    return case_set


def _golden(case: Case, interview: Interview, cases: CaseSet, evaluator: Evaluator) -> dict[str, Any]:
    """What a check compares with; answers that are judged by properties alone are not kept."""
    if case.id != "lab2/same_batch" and case.probe not in _GOLDEN_PROBES:
        return {}
    facts, arrays = interview.ask(case.probe, case.params, cases.inputs(case))
    if case.probe == "lab1.function":
        return {"expected": {"value": arrays["value"]}}
    if case.probe == "lab1.solver":
        kept = {name: arrays[name] for name in ("weights", "losses")}
        return {"expected": kept | _quadratic(case, interview)}
    if case.probe == "lab2.finetune":
        return {"expected": {f"step.{name}": steps[1] - steps[0] for name, steps in _seen(arrays)}}
    if case.probe == "lab2.evaluate":
        return {"facts": {"accuracy": facts["accuracy"]}}
    if case.probe == "lab3.layer":
        return {"expected": {"grad": arrays["grad"]}}
    return {"facts": {"bits": facts["bits"], "values": facts["values"]} | _accuracies(case, arrays, evaluator)}


def _seen(arrays: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    """By prunable layer, its weights at every pass."""
    return ((name.removeprefix("seen."), a) for name, a in arrays.items() if name.startswith("seen."))


def _quadratic(case: Case, interview: Interview) -> Arrays:
    """The loss as w A w / 2 - b w + c, read off the reference's gradient at 0 and at the unit vectors."""
    d = len(case.inputs["w0"])

    def ask(name: str, w: np.ndarray, returns: str) -> np.ndarray:
        inputs = {"X": case.inputs["X"], "y": case.inputs["y"], "w": w}
        params = {"name": name, "scalars": {}, "returns": returns}
        return interview.ask("lab1.function", params, inputs)[1]["value"]

    at_zero = ask("gradient", np.zeros(d), "vector")
    columns = [ask("gradient", unit, "vector") - at_zero for unit in np.eye(d)]
    return {"curvature": np.stack(columns, 1), "slope": -at_zero, "constant": ask("loss", np.zeros(d), "number")}


def _accuracies(case: Case, arrays: Arrays, evaluator: Evaluator) -> dict[str, Any]:
    """The judge's measurement at each number of bits, where the case lets the network's weights be seen."""
    if not case.params["effective"]:
        return {}
    found = []
    for bits in case.params["bits"]:
        used = {n.removeprefix(f"{bits}."): a for n, a in arrays.items() if n.startswith(f"{bits}.")}
        renamed = {n.replace(".weight", ".linear.weight" if "fc" in n else ".conv.weight"): a for n, a in used.items()}
        found.append(evaluator.accuracy(renamed))
    return {"accuracies": found}


def check(assignment: Assignment) -> str:
    """Build again, beside, and compare; train the small network again and measure it.

    Returns:
        a sentence for the person who asked.

    Raises:
        StaleOutput: the committed fixtures are not what the reference gives now.
    """
    committed = locations.fixtures()
    with tempfile.TemporaryDirectory() as scratch:
        public = build_cases(assignment, Path(scratch))
        for name in ("public", "hidden"):
            _compare(load_cases(committed / name), load_cases(Path(scratch) / name), committed / name)
        retrained = CaseSet({}, make_tiny())
        evaluator = Evaluator(locations.pristine(), assignment.limits, retrained)
        try:
            accuracy = evaluator.baseline
        finally:
            evaluator.close()
    where = committed / "public"
    if stale := difference(load_hypotheses(where), public_hypotheses(assignment, public)):
        raise StaleOutput(f"{where}/mistakes.json: {stale}: run `grader fixtures build` and commit the result")
    if accuracy < _WANTED_ACCURACY:
        raise StaleOutput(f"the recipe of the small network gives {accuracy:.1%}, below {_WANTED_ACCURACY:.0%}")
    return f"fixtures are up to date; the small network's recipe gives {accuracy:.1%} on the test images"


def _compare(old: CaseSet, new: CaseSet, where: Path) -> None:
    advice = "run `grader fixtures build` and commit the result"
    if old.key != new.key or list(old.cases) != list(new.cases) or old.shared.keys() != new.shared.keys():
        raise StaleOutput(f"{where} has other cases than the code describes: {advice}")
    pairs = [(name, old.shared[name], array) for name, array in new.shared.items()]
    for case_id, case in new.cases.items():
        was = old.cases[case_id]
        if _described(was) != _described(case):
            raise StaleOutput(f"{where}: case {case_id} has changed: {advice}")
        for before, after in ((was.inputs, case.inputs), (was.expected, case.expected)):
            if before.keys() != after.keys():
                raise StaleOutput(f"{where}: case {case_id} has changed: {advice}")
            pairs += [(f"{case_id}: {name}", before[name], array) for name, array in after.items()]
    for name, was_array, is_array in pairs:
        if was_array.shape != is_array.shape or not np.allclose(was_array, is_array, rtol=1e-6, atol=1e-7):
            raise StaleOutput(f"{where}: {name} has changed: {advice}")


def _described(case: Case) -> dict[str, Any]:
    """What a case says apart from its arrays; measured accuracies are rounded, since processors differ."""
    facts = {
        name: [round(v, 2) if isinstance(v, float) else v for v in value] if isinstance(value, list) else value
        for name, value in case.facts.items()
    }
    return {**case.model_dump(exclude={"inputs", "expected", "facts"}), "facts": facts}
