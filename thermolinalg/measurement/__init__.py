"""Engines of measurement: how long to run, the law or the path of what is read, its error and its cost."""
