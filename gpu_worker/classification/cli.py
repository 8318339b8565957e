"""`python -m gpu_worker classify`: a classifier for the site's moderation, on this machine alone."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from gpu_worker.modeling.source import ModelRefused, ModelSpec
from gpu_worker.server.cli import UsageError, listen

TOKEN = "FASTCHAT_CLASSIFIER_TOKEN"  # noqa: S105  # the name of a variable
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main(argv: Sequence[str]) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    given, access_token = _parser().parse_args(argv), os.environ.get(TOKEN, "")
    try:
        spec = ModelSpec.parse(given.model)
        if not access_token and given.host not in LOOPBACK:
            raise UsageError(f"set {TOKEN}: at {given.host} others can reach it")
        if not 0 < given.threshold < 1:
            raise UsageError(f"--threshold {given.threshold}: give a number between 0 and 1")
        listener = listen(given.host, given.port)
    except (UsageError, ValueError) as exc:
        sys.stderr.write(f"gpu_worker classify: {exc}\n")
        return 2
    from gpu_worker.modeling.device import DeviceError

    try:
        from gpu_worker.classification.model import load_classifier

        classifier = load_classifier(spec, device=given.device, harmless=frozenset(given.harmless))
    except (ModelRefused, DeviceError) as exc:
        listener.close()
        sys.stderr.write(f"gpu_worker classify: {exc}\n")
        return 1
    import uvicorn

    from gpu_worker.classification.app import build_app

    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}/v1\n")
    sys.stdout.flush()
    app = build_app(classifier, threshold=given.threshold, access_token=access_token)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", http="httptools")
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker classify",
        description="Serve a text-classification model at OpenAI's /v1/moderations, for the site's moderation. "
        f"With {TOKEN} in the environment it asks for that token.",
    )
    parser.add_argument("--model", required=True, metavar="PATH_OR_HUB_ID[@REVISION][=NAME]")
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N; default: auto")
    parser.add_argument("--threshold", type=float, default=0.5, help="from which score on it is found; default: 0.5")
    parser.add_argument(
        "--harmless", action="append", default=[], metavar="LABEL", help="a label that is no category; may be repeated"
    )
    return parser
