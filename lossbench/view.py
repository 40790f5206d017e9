"""What MLflow's page of an experiment shows when it is opened by `lossbench ui`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def state(summary: dict[str, Any], beside: Sequence[str] = ()) -> dict[str, Any]:
    """The state of MLflow's chart page: curves with their bands, then the test metrics.

    Runs are grouped by loss, and by the tags beside it: MLflow shows a group's mean.
    """
    metrics = [summary["primary"], *(m for m in summary["directions"] if m != summary["primary"])]
    return {
        "compareRunCharts": _charts(metrics),
        "compareRunSections": _sections(),
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": tag} for tag in ("loss", *beside)],
        },
        "useGroupedValuesInCharts": True,
        "groupsExpanded": {},
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": [
            *(f"tags.`{tag}`" for tag in ("loss", "dataset", "corruption", "diverged")),
            *(f"metrics.`test/{metric}`" for metric in metrics),
        ],
        "columnOrder": [],
        "columnWidths": {},
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
    }


def _charts(metrics: list[str]) -> list[dict[str, Any]]:
    """A line chart for each curve, the first metric's on top, and a bar chart for each metric."""
    curves = [f"val/{metrics[0]}", "train/loss", *(f"val/{metric}" for metric in metrics[1:])]
    return [
        {
            "uuid": f"curve-{number}",
            "type": "LINE",
            "metricSectionId": "curves",
            "metricKey": name,
            "selectedMetricKeys": [name, f"{name}_low", f"{name}_high"],
            "displayName": f"{name}: mean and 95 % interval over seeds",
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "lineSmoothness": 0,
            "displayPoints": False,
            "runsCountToCompare": 20,
            "deleted": False,
            "isGenerated": False,
        }
        for number, name in enumerate(curves)
    ] + [
        {
            "uuid": f"test-{number}",
            "type": "BAR",
            "metricSectionId": "test",
            "metricKey": f"test/{metric}",
            "runsCountToCompare": 20,
            "deleted": False,
            "isGenerated": False,
        }
        for number, metric in enumerate(metrics)
    ]


def _sections() -> list[dict[str, Any]]:
    """The parts of the page that the charts stand in."""
    return [
        {
            "uuid": place,
            "name": name,
            "display": True,
            "isReordered": False,
            "isGenerated": False,
            "columns": 2,
            "cardHeight": 340,
        }
        for place, name in (("curves", "Learning curves"), ("test", "Test split, last epoch"))
    ]
