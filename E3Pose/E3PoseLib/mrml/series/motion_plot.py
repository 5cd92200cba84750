"""The motion of a head over time: a table, and a chart of it with a line at the time point that is shown."""

import numpy as np
import vtk

from E3PoseLib.imaging.motion import DISPLACEMENT, ROTATIONS, TRANSLATIONS, motion_columns
from E3PoseLib.mrml.hierarchy import place_beside
from E3PoseLib.mrml.matrices import nodes_of_class
from E3PoseLib.mrml.outputs import is_result_of, mark_result
from E3PoseLib.mrml.pose import marks_of
from E3PoseLib.mrml.series.results import SeriesResults

ROLE_ATTRIBUTE = "E3Pose.MotionPlot"
"""Of the nodes of a plot: which of them it is."""

LINES = {
    "trans_x": ("right (mm)", (0.84, 0.15, 0.16)),
    "trans_y": ("anterior (mm)", (0.17, 0.63, 0.17)),
    "trans_z": ("superior (mm)", (0.12, 0.47, 0.71)),
    "rot_x_degrees": ("about right (°)", (1.0, 0.6, 0.6)),
    "rot_y_degrees": ("about anterior (°)", (0.6, 0.87, 0.54)),
    "rot_z_degrees": ("about superior (°)", (0.68, 0.78, 0.91)),
    DISPLACEMENT: ("displacement (mm)", (0.3, 0.3, 0.3)),
}
"""The columns that are drawn, with what the legend says and the colour."""

DOUBTFUL = "doubtful"
"""Column that is 0 where a time point has no pose, or a doubtful one, and not a number elsewhere."""


def write_motion(results: SeriesResults) -> None:
    """Write the table of motion, and the chart of it, which are made where there are none."""
    volume_node = results.points.volume_node
    found = results.results()
    poses = results.poses_in_scan()
    words = {
        "confidence": ["none" if one is None else one["confidence"]["level"] for one in found],
        "marks": ["failed" if one is None else ";".join(marks_of(one)) for one in found],
    }
    believed = np.array([not one for one in words["marks"]])
    columns = {"time": results.points.times, **motion_columns(poses, believed)}
    columns |= {f"{name}_degrees": np.rad2deg(columns[name]) for name in ROTATIONS}
    columns[DOUBTFUL] = np.where(believed, np.nan, 0.0)
    table_node = _node(volume_node, "vtkMRMLTableNode", "motion", "head motion")
    was_modifying = table_node.StartModify()
    _fill(table_node.GetTable(), columns, words)
    table_node.Modified()
    table_node.EndModify(was_modifying)
    chart_node = motion_chart_of(volume_node)
    if chart_node is None:
        chart_node = _make_chart(volume_node, table_node, results.points.axis_title)
    mark_time_point(results)


def motion_chart_of(volume_node):
    """The chart of a scan's motion, or None."""
    return _find(volume_node, "vtkMRMLPlotChartNode", "chart")


def mark_time_point(results: SeriesResults) -> None:
    """Move the line to the time point that is shown."""
    table_node, shown = _find(results.points.volume_node, "vtkMRMLTableNode", "shown"), results.points.shown
    motion_node = _find(results.points.volume_node, "vtkMRMLTableNode", "motion")
    if table_node is None or motion_node is None or shown is None:
        return
    values = [
        motion_node.GetTable().GetColumnByName(name).GetValue(row)
        for name in LINES
        for row in range(motion_node.GetTable().GetNumberOfRows())
    ]
    known = [value for value in values if np.isfinite(value)] or [0.0]
    time = float(results.points.times[shown])
    columns = {"time": np.array([time, time]), "shown": np.array([min(0.0, *known), max(1.0, *known)])}
    table = table_node.GetTable()
    if table.GetNumberOfRows() == 2 and all(
        np.array_equal([table.GetColumnByName(name).GetValue(row) for row in (0, 1)], column)
        for name, column in columns.items()
    ):
        return
    _fill(table, columns)
    table_node.Modified()


def _fill(table, columns: dict[str, np.ndarray], words: dict[str, list[str]] | None = None) -> None:
    table.Initialize()
    for name, values in columns.items():
        array = vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(value)
        table.AddColumn(array)
    for name, texts in (words or {}).items():
        array = vtk.vtkStringArray()
        array.SetName(name)
        for text in texts:
            array.InsertNextValue(text)
        table.AddColumn(array)


def _make_chart(volume_node, table_node, time_title: str):
    chart_node = _node(volume_node, "vtkMRMLPlotChartNode", "chart", "head motion plot")
    chart_node.SetTitle(f"{volume_node.GetName()}: head motion")
    chart_node.SetXAxisTitle(time_title)
    chart_node.SetYAxisTitle("mm, degrees")
    for column, (title, colour) in LINES.items():
        line = _add_line(volume_node, chart_node, table_node, column, title, colour)
        line.SetLineWidth(2 if column in TRANSLATIONS else 1)
    marks = _add_line(volume_node, chart_node, table_node, DOUBTFUL, "doubtful or no pose", (0.9, 0.5, 0.0))
    marks.SetLineStyle(marks.LineStyleNone)
    marks.SetMarkerStyle(marks.MarkerStyleCross)
    marks.SetMarkerSize(9)
    shown_node = _node(volume_node, "vtkMRMLTableNode", "shown", "head motion, time shown")
    shown_node.SetHideFromEditors(True)
    _fill(shown_node.GetTable(), {"time": np.zeros(2), "shown": np.zeros(2)})
    _add_line(volume_node, chart_node, shown_node, "shown", "shown", (0.5, 0.5, 0.5))
    return chart_node


def _add_line(volume_node, chart_node, table_node, column: str, title: str, colour):
    line = _node(volume_node, "vtkMRMLPlotSeriesNode", column, title)
    line.SetAndObserveTableNodeID(table_node.GetID())
    line.SetXColumnName("time")
    line.SetYColumnName(column)
    line.SetPlotType(line.PlotTypeScatter)
    line.SetMarkerStyle(line.MarkerStyleCircle)  # a time point between two without a pose has no line
    line.SetMarkerSize(4)
    line.SetColor(*colour)
    chart_node.AddAndObservePlotSeriesNodeID(line.GetID())
    return line


def _node(volume_node, class_name: str, role: str, words: str):
    """The node of a scan's plot that has a role; made where there is none."""
    node = _find(volume_node, class_name, role)
    if node is None:
        is_line = class_name == "vtkMRMLPlotSeriesNode"  # whose name is what the legend says
        scene = volume_node.GetScene()
        name = words if is_line else scene.GenerateUniqueName(f"{volume_node.GetName()} {words}")
        node = scene.AddNewNodeByClass(class_name, name)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
        mark_result(node, volume_node.GetID())
        place_beside(node, volume_node)
    return node


def _find(volume_node, class_name: str, role: str):
    nodes = nodes_of_class(volume_node.GetScene(), class_name)
    found = (node for node in nodes if node.GetAttribute(ROLE_ATTRIBUTE) == role and is_result_of(node, volume_node))
    return next(found, None)
