"""A stand-in for vLLM, which is not installed where the tests run."""
