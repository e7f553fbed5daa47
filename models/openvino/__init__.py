"""OpenVINO: building, opening and running, in files named as in the other runtimes. The only place that knows it."""
