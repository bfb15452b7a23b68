"""Drawing: folium maps, legends, styles read from the top-level maps/ folder. Output is self-contained files."""
