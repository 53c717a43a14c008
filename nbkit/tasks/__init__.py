"""Tasks: the only place that knows a model and a data set."""
