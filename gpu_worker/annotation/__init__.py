"""Models that the site's data is asked about, each as a child process: a JSON line in, a JSON line out."""
