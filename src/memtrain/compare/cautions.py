"""Sentences that warn of a comparison: helpers that have learned nothing, unlike sizes, drifts of unlike memories."""

import itertools
from collections.abc import Iterator, Sequence

import pandas as pd

from memtrain.compare.queries import diverged, experiments, place, readable, stayed_at_chance, trained_at
from memtrain.compare.results import Finished

UNLIKE_SIZES = 2.0
"""Factor in parameters above which a method needs another of its kind and of about the same size beside it."""


def idle_helpers(rows: pd.DataFrame) -> Iterator[str]:
    """One sentence for each helper that has learned nothing, so that nothing can be learned from it: a teacher."""
    several = rows["experiment"].nunique() > 1
    for experiment, own in experiments(trained_at(rows)):
        helpers = own[~own["compared"]]
        alone = helpers["method"].nunique() == 1
        for row, wrong in zip(helpers.itertuples(), diverged(helpers), strict=True):
            where = place(experiment if several else "", row.difficulty_name, row.difficulty, row.evaluation_difficulty)
            subject = f"{where}the {row.reading} of {'' if alone else f'{row.method}, '}seed {row.seed}"
            remedy = "give its stage a larger budget or another learning rate."
            if wrong:
                yield f"{subject} diverged (no finite loss); {remedy}"
            elif pd.notna(row.chance):
                if stayed_at_chance(row.accuracy, row.chance):
                    figures = f"{readable('accuracy', row.accuracy)}, chance {readable('accuracy', row.chance)}"
                    yield f"{subject} stayed at chance ({figures}); {remedy}"
            elif row.loss >= row.unigram_entropy:
                figures = f"{readable('loss', row.loss)}, unigram entropy {readable('loss', row.unigram_entropy)}"
                yield f"{subject} learned nothing ({figures}); {remedy}"


def unlike_sizes(found: Sequence[Finished]) -> Iterator[str]:
    """One sentence for each experiment and kind of method of which no two networks are of about the same size.

    Methods are of one kind where their stages are. Those with as many parameters have the same network.

    Args:
        found: of `memtrain.compare.results.read_results`.
    """
    modules: dict[tuple[str, str], dict[int, str]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for stage in found:
        result = stage.result
        method = result.experiment, result.method
        modules.setdefault(method, {})[result.position] = result.module
        if result.is_last:
            sizes[method] = result.parameters[result.reading]
    kinds: dict[tuple[str, ...], dict[int, str]] = {}
    for (experiment, name), size in sorted(sizes.items(), key=lambda entry: entry[1]):
        kind = (experiment, *(module for _, module in sorted(modules[experiment, name].items())))
        kinds.setdefault(kind, {}).setdefault(size, name)
    for (experiment, *_), methods in kinds.items():
        pairs = list(itertools.pairwise(methods))
        if pairs and all(larger > UNLIKE_SIZES * smaller for smaller, larger in pairs):
            named = " and ".join(f"{name} has {size:,}" for size, name in methods.items())
            yield f"{experiment}: {named} parameters; add a method of the same stages and of about the same size."


def unlike_drifts(found: Sequence[Finished]) -> Iterator[str]:
    """One sentence for each experiment with drifts of methods whose teachers, or own networks, were trained otherwise.

    A drift is a distance in the space of one teacher's memories; distances in two such spaces do not compare. Teachers
    are the same where the stages that have trained them are, but for the seed.

    Args:
        found: of `memtrain.compare.results.read_results`.
    """
    teachers: dict[tuple[str, str, float | None], str] = {}
    drifting: dict[tuple[str, float | None], dict[str, tuple[str, int]]] = {}
    for stage in sorted(found, key=lambda stage: stage.result.position):
        result = stage.result
        run = result.experiment, result.method, result.difficulty
        if "teacher" in result.trained:
            teachers[run] = result.recipe
        if result.is_last and any(name.startswith("drift/") for e in result.evaluations for name in e.diagnostics):
            space = teachers.get(run, result.recipe), result.parameters[result.reading]
            drifting.setdefault((result.experiment, result.difficulty), {})[result.method] = space
    unlike: dict[str, dict[str, None]] = {}
    for (experiment, _), spaces in drifting.items():
        if len(set(spaces.values())) > 1:
            unlike.setdefault(experiment, {}).update(dict.fromkeys(spaces))
    for experiment, methods in unlike.items():
        yield (
            f"{experiment}: the drifts of {', '.join(methods)} are distances to memories of different teachers or in "
            "different networks, and do not compare across methods; accuracy and loss do."
        )
