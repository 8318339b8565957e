"""Models on disk and in memory: what may be loaded, where it runs and in which number format."""
