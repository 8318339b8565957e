"""Continuous batching: which requests compute together, what they compute, and the text that comes out.

`request`, `scheduler`, `stop` and `detokenize` are plain Python; `cache`, `runner` and `sampling` need torch.
It knows no HTTP.
"""
