"""Draws what it is asked for on stdin: a process of its own, because its JavaScript engine can end the one it is in.

One JSON line an order: {"spec": a Vega-Lite specification} for an SVG, or {"svg", "scale"} for its PNG. One JSON line
an answer: {"made": the bytes as base64}, or {"error"}. Imports nothing of the project. It ends when stdin does.
"""

import base64
import json
import os
import sys
from typing import Any


def made(order: dict[str, Any]) -> bytes:
    """The bytes of one drawing."""
    import vl_convert

    if "spec" in order:
        return str(vl_convert.vegalite_to_svg(order["spec"])).encode()
    return bytes(vl_convert.svg_to_png(order["svg"], scale=order["scale"]))


def main() -> None:
    """Answer every order of stdin."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    for text in sys.stdin:
        try:
            answer = {"made": base64.b64encode(made(json.loads(text))).decode()}
        except Exception as error:
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
