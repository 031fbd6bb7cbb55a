"""The configs as OpenMMLab's tools see them: model-index.yml and the metafiles."""

from pathlib import Path

import modelindex
import pytest
import yaml
from commands import ROOT

from asl_mmdet.benchmark.rows import Rows

CONFIGS = {p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.py") if p.parent.name != "_base_"}


@pytest.fixture(scope="module")
def index():
    """All collections and models, by the parser that MIM uses."""
    return modelindex.load(str(ROOT / "model-index.yml"))


def test_every_config_is_listed_once_in_the_metafile_of_its_folder(index):
    listed = [model.config for model in index.models]
    assert sorted(listed) == sorted(CONFIGS)
    for path in yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]:
        for model in yaml.safe_load((ROOT / path).read_text())["Models"]:
            assert Path(model["Config"]).parent == Path(path).parent
            assert model["Name"] == Path(model["Config"]).stem  # what `mim download --config` takes


def test_every_model_is_in_a_collection_with_paper_and_readme(index):
    collections = {collection.name: collection for collection in index.collections}
    assert {model.in_collection for model in index.models} == set(collections)
    for collection in collections.values():
        assert (ROOT / collection.readme).is_file()
        assert collection.paper["URL"].startswith("https://arxiv.org/abs/")


def test_results_are_the_means_of_the_committed_ones(index):
    chosen = Rows.read(ROOT / "benchmarks").where(experiment="shapes_detection,shapes_multilabel", data="complete")
    means = chosen.runs.groupby(["config", "loss"])["main"].mean()
    seen = 0
    for model in index.models:
        for result in model.results or []:
            head, _, loss, _ = model.name.split("_")
            loss = {"asl": "multi_label" if head == "classifier" else "detection"}.get(loss, loss)
            (value,) = result.metrics.values()
            assert value == pytest.approx(means[head, loss], abs=0.005), model.name
            seen += 1
    assert seen == 9
