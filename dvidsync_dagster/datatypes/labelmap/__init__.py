"""labelmap: bodies made of supervoxels; merges, cleaves, renumbers, splits and the label counter."""
