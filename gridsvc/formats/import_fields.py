"""The fields of each kind of import: names, what headers mean them, how their texts become values.

`docs/how-to/import.md` lists them; a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridsvc.errors import ImportRefusedError, RowError


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind.

    Attributes
    ----------
    name
        The column of the table in the store.
    kind
        ``text``, ``integer``, ``number``, ``time`` (ISO 8601 with offset).
    aliases
        Headers that mean this field, besides its name; compared without case, blanks and underscores.
    required
        Whether a file without it is refused. An empty value in a required field is a row error.
    """

    name: str
    kind: str = "text"
    aliases: tuple[str, ...] = ()
    required: bool = False


_NAME = ("名称", "名字", "全称", "name_zh", "名")
_LON = Field("lon", "number", ("longitude", "lng", "x", "经度", "东经", "geom_lon"))
_LAT = Field("lat", "number", ("latitude", "y", "纬度", "北纬", "geom_lat"))
_WKT = Field("wkt", "text", ("geometry", "geom", "the_geom", "几何", "坐标串"))
POSITION = (_LON, _LAT, _WKT)

FIELDS: dict[str, tuple[Field, ...]] = {
    "divisions": (
        Field("code", "text", ("division_code", "编码", "代码", "区划代码", "行政区划代码", "adcode", "id"), required=True),
        Field("name", "text", _NAME, required=True),
        Field("level", "text", ("级别", "层级")),
        Field("parent_code", "text", ("parent", "上级编码", "上级代码", "父级编码")),
        Field("urban_rural_class", "integer", ("城乡分类代码", "城乡分类")),
    ),
    "streets": (
        Field("street_code", "text", ("code", "编码", "道路编码", "osm_id")),
        Field("name", "text", (*_NAME, "道路名称", "路名")),
        Field("street_class", "text", ("highway", "fclass", "道路等级", "等级", "类别"), required=True),
        Field("layer", "integer", ("层", "层次")),
        Field("passage", "text", ("过街方式", "通行设施")),
    ),
    "water": (
        Field("water_code", "text", ("code", "编码", "osm_id")),
        Field("name", "text", _NAME),
        Field("kind", "text", ("类型", "类别", "种类"), required=True),
    ),
    "barriers": (
        Field("barrier_code", "text", ("code", "编码", "osm_id")),
        Field("kind", "text", ("类型", "类别", "种类", "barrier"), required=True),
    ),
    "compounds": (
        Field("compound_code", "text", ("code", "编码", "小区编码", "院落编码"), required=True),
        Field("name", "text", (*_NAME, "小区名称")),
    ),
    "gates": (
        Field("gate_code", "text", ("code", "编码", "出入口编码", "大门编码"), required=True),
        Field("name", "text", (*_NAME, "出入口名称")),
        Field("is_closed", "text", ("closed", "是否关闭", "关闭", "状态")),
        Field("hours", "text", ("opening_hours", "开放时间", "开放时段")),
    ),
    "residences": (
        Field("residence_code", "text", ("code", "编码", "楼栋编码", "建筑编码", "building_id"), required=True),
        Field("name", "text", (*_NAME, "楼栋名称", "建筑名称")),
        Field("use", "text", ("用途", "建筑用途", "性质")),
        Field("households", "integer", ("户数", "常住户数", "住户数")),
        Field("population", "integer", ("人口", "人口数", "常住人口")),
        Field("floors", "integer", ("层数", "楼层", "楼层数", "building:levels")),
        Field("entrance_lon", "number", ("入口经度",)),
        Field("entrance_lat", "number", ("入口纬度",)),
    ),
    "facilities": (
        Field("facility_code", "text", ("code", "编码", "设施编码"), required=True),
        Field("kind_code", "text", ("kind", "设施类别", "类别编码", "类别", "类型编码"), required=True),
        Field("name", "text", (*_NAME, "设施名称")),
        Field("address", "text", ("地址", "详细地址")),
        Field("entrances", "text", ("entr_location", "入口坐标", "出入口坐标")),
    ),
    "addresses": (
        Field("address_code", "text", ("code", "编码", "地址编码", "标准地址编码", "门牌编码")),
        Field("address", "text", ("地址", "详细地址", "标准地址", "地址全称", "门牌地址", "门牌全称")),
        Field("name", "text", (*_NAME, "兴趣点", "小区名称", "建筑名称", "单位名称")),
        Field("road", "text", ("路", "街路巷", "道路", "道路名称", "路名", "街路巷名称", "street", "addr:street")),
        Field("number", "text", ("门牌", "门牌号", "门牌号码", "号", "housenumber", "addr:housenumber")),
        Field("compound", "text", ("小区", "院落", "住宅小区", "addr:place")),
        Field("building", "text", ("楼栋", "楼栋号", "楼号", "幢号", "栋号")),
    ),
    "workers": (
        Field("worker_code", "text", ("code", "编码", "网格员编码", "工号"), required=True),
        Field("name", "text", ("姓名", "网格员姓名"), required=True),
        Field("kind_code", "text", ("kind", "人员类别", "类别编码", "类别"), required=True),
        Field("division_code", "text", ("community_code", "社区编码", "所属社区", "区划代码"), required=True),
        Field("phone", "text", ("电话", "手机", "手机号", "联系电话", "工作电话")),
        Field("capacity_grids", "integer", ("capacity", "可管网格数")),
    ),
    "grids": (
        Field("code", "text", ("grid_code", "bgid", "网格编码", "网格代码", "网格标识码", "编码"), required=True),
        Field("name", "text", (*_NAME, "网格名称")),
        Field("community_code", "text", ("社区编码", "社区代码", "szsqdm")),
        Field("parent_code", "text", ("上级网格编码",)),
        Field("households", "integer", ("户数", "常住户数")),
        Field("population", "integer", ("人口", "人口数", "常住人口")),
    ),
    "reports": (
        Field("report_id", "text", ("uuid",)),
        Field("source_no", "text", ("工单号", "案卷号", "案件编号", "上报编号", "servicerequestid")),
        Field("edition", "text", ("版本", "目录版本")),
        Field("category_code", "text", ("category", "小类代码", "类别代码", "类别编码", "事项代码", "service_code"), required=True),
        Field("network", "text", ("网络", "条线")),
        Field("source", "text", ("来源", "上报来源", "案件来源")),
        Field("description", "text", ("描述", "问题描述", "案件描述", "内容")),
        Field("reporter", "text", ("上报人", "上报人编码")),
        Field("device", "text", ("设备", "设备编号")),
        Field("reported_at", "time", ("occurred_at", "上报时间", "发生时间", "时间"), required=True),
        Field("datum", "text", ("坐标系", "坐标系统")),
        Field("accuracy_m", "number", ("accuracy", "定位精度", "精度")),
    ),
    "components": (
        Field("component_id", "text", ("glbjbsm", "objid", "code", "编码", "部件编码", "部件标识码", "管理部件标识码")),
        Field("edition", "text", ("版本", "目录版本")),
        Field("category_code", "text", ("category", "小类代码", "部件小类代码", "类别代码", "类别编码")),
        Field("name", "text", ("glbjmc", "objname", "部件名称", "管理部件名称", *_NAME)),
        Field("state", "text", ("glbjzt", "objstate", "状态", "部件状态", "管理部件状态")),
        Field("department_code", "text", ("zgbmdm", "deptcode1", "主管部门代码")),
        Field("department_name", "text", ("zgbmmc", "deptname1", "主管部门", "主管部门名称")),
        Field("owner_code", "text", ("qsdwdm", "deptcode2", "权属单位代码")),
        Field("owner_name", "text", ("qsdwmc", "deptname2", "权属单位", "权属单位名称")),
        Field("maintainer_code", "text", ("yhdwdm", "deptcode3", "养护单位代码")),
        Field("maintainer_name", "text", ("yhdwmc", "deptname3", "养护单位", "养护单位名称")),
        Field("began_on", "text", ("csrq", "ordate", "初始日期")),
        Field("data_source", "text", ("sjly", "datasource", "数据来源")),
        Field("accuracy_class", "text", ("精度等级", "定位精度等级")),
        Field("note", "text", ("bz", "备注")),
        Field("datum", "text", ("坐标系", "坐标系统")),
    ),
    "departments": (
        Field("department_code", "text", ("code", "编码", "部门编码", "部门代码", "统一社会信用代码", "zgbmdm"), required=True),
        Field("name", "text", (*_NAME, "部门名称", "zgbmmc"), required=True),
        Field("kind_code", "text", ("kind", "部门类别", "类别编码", "类别"), required=True),
        Field("division_code", "text", ("区划代码", "行政区划代码", "所属区划", "adcode"), required=True),
        Field("valid_from", "time", ("生效时间", "启用日期")),
        Field("valid_to", "time", ("失效时间", "停用日期")),
    ),
    "duties": (
        Field("duty_code", "text", ("职责编码", "责任编码")),
        Field("department_code", "text", ("部门编码", "部门代码", "统一社会信用代码", "zgbmdm"), required=True),
        Field("network", "text", ("网络", "条线")),
        Field("ground_code", "text", ("grid_code", "division_code", "网格编码", "区划代码", "责任范围"), required=True),
        Field("edition", "text", ("版本", "目录版本")),
        Field("category_code", "text", ("category", "小类代码", "大类代码", "类别代码", "事项代码")),
        Field("valid_from", "time", ("生效时间", "启用日期")),
        Field("valid_to", "time", ("失效时间", "停用日期")),
    ),
}  # fmt: skip

# kinds whose rows may come without any position
WITHOUT_POSITION = frozenset({"divisions", "workers", "departments", "duties"})

_MISSING_TEXTS = frozenset({"", "null", "none", "nan", "n/a", "\\n"})


def map_columns(frame: pd.DataFrame, kind: str, mapping: Mapping[str, str], *, has_geometry: bool) -> pd.DataFrame:
    """Return ``frame`` with the columns of ``kind`` only, under their field names, values still as in the file.

    A header is taken for a field when ``mapping`` says so, else when it is the field's name, else when it is one of its aliases;
    aliases are tried in order and a header is used once. Columns that mean no field are left out.

    Parameters
    ----------
    mapping
        Header of the file to name of a field, as ``--map header=field`` gives it.
    has_geometry
        Whether the file itself has geometry; then lon, lat and WKT columns are left alone.

    Raises
    ------
    ImportRefusedError
        When required fields have no column, or the mapping names a header or field that is not there.
    """
    fields = FIELDS[kind] if has_geometry else (*FIELDS[kind], *POSITION)
    headers = {str(name): name for name in frame.columns}
    chosen = _mapped(headers, fields, mapping, kind)
    taken = set(chosen.values())
    by_folded = {_folded(name): name for name in headers if name not in taken}
    for field in fields:
        for alias in (field.name, *field.aliases):
            header = by_folded.get(_folded(alias))
            if field.name not in chosen and header is not None and header not in taken:
                chosen[field.name] = header
                taken.add(header)
    missing = [field.name for field in fields if field.required and field.name not in chosen]
    if (
        not has_geometry
        and kind not in WITHOUT_POSITION
        and not {"lon", "lat"} <= chosen.keys()
        and "wkt" not in chosen
    ):
        missing.append("lon and lat, or wkt")
    if missing:
        raise _columns_refused(missing, headers, fields, kind)
    return pd.DataFrame({name: frame[headers[header]] for name, header in chosen.items()}, index=frame.index)


def _folded(name: str) -> str:
    return "".join(str(name).lower().split()).replace("_", "")


def _mapped(
    headers: Mapping[str, Any], fields: tuple[Field, ...], mapping: Mapping[str, str], kind: str
) -> dict[str, str]:
    names = {field.name for field in fields}
    chosen: dict[str, str] = {}
    for header, name in mapping.items():
        if header not in headers:
            found = ", ".join(headers)
            raise ImportRefusedError(
                f"--map {header}={name}: the file has no column {header!r}.",
                rows=[],
                hint=f"Its columns are: {found}.",
                field=name,
            )
        if name not in names:
            raise ImportRefusedError(
                f"--map {header}={name}: {kind} have no field {name!r}.",
                rows=[],
                hint=f"Fields: {', '.join(sorted(names))}.",
                field=name,
            )
        chosen[name] = header
    return chosen


def _columns_refused(
    missing: list[str], headers: Mapping[str, Any], fields: tuple[Field, ...], kind: str
) -> ImportRefusedError:
    expected = ", ".join(field.name + ("" if field.required else " (optional)") for field in fields)
    found = ", ".join(headers) or "none"
    return ImportRefusedError(
        f"The file lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} of {kind}; it has {found}.",
        rows=[RowError(0, name, "column missing") for name in missing],
        hint=f"Fields of {kind}: {expected}. Name a column with --map HEADER=FIELD.",
        found=list(headers), missing=missing,
    )  # fmt: skip


def as_text(values: pd.Series) -> np.ndarray:
    """Return an object array of stripped texts; missing values (None, NaN, "", NULL) become "".

    Whole floats lose their ".0": a spreadsheet or database may have kept a code as a number.
    """
    if values.dtype.kind in "iu":
        return values.astype(str).to_numpy(dtype=object)
    if values.dtype.kind == "f":
        whole = values.notna() & (values == np.floor(values)) & (values.abs() < 1e16)
        text = values.astype(object).astype(str).to_numpy(dtype=object)
        text[whole.to_numpy()] = values[whole].astype(np.int64).astype(str).to_numpy(dtype=object)
        text[values.isna().to_numpy()] = ""
        return text
    return np.array([_one_text(value) for value in values.to_numpy(dtype=object)], dtype=object)


def _one_text(value: Any) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return ""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    text = str(value).strip()
    return "" if text.lower() in _MISSING_TEXTS else text


def as_numbers(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(numbers, bad)``: floats (NaN where missing) and where a value is there that is no finite number."""
    if values.dtype.kind in "iuf":
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers, np.isinf(numbers)
    raw = values.to_numpy(dtype=object)
    given = np.array(
        [not (value is None or (isinstance(value, str) and not value.strip())) for value in raw], dtype=bool
    )
    numbers = pd.to_numeric(pd.Series(raw), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers, given & ~np.isfinite(numbers)
