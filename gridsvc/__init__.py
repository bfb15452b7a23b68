"""gridsvc: the geospatial platform of a city's grid service management (网格化服务管理)."""

__version__ = "0.1.0"
