"""The order in which a kernel adds: the probe that reveals it, the tree, exact replay."""
