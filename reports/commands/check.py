"""``check NETWORK``: one network in under half a minute: batch-invariant or not, how far, where it starts."""

import argparse
from pathlib import Path

from isobatch.pipeline.config.numbers import batches, limited, seconds, whole
from isobatch.pipeline.records.errors import UsageError
from isobatch.reports.commands import Command

_LARGEST = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The network, its inputs, and the scope."""
    parser.add_argument(
        "network",
        metavar="NETWORK",
        help="a torchvision name, timm:NAME, package.module:factory, an ONNX file, or a checkpoint",
    )
    parser.add_argument("--model", help="the torchvision network that a checkpoint is for")
    parser.add_argument(
        "--weights",
        help="weights of a named network: auto, digits, imagenet-v2, imagenet-v1, random, pretrained (timm's) or FILE "
        "(default: auto)",
    )
    parser.add_argument(
        "--state-dict", metavar="KEY", help="which of a checkpoint's state dicts (default: the usual one)"
    )
    parser.add_argument("--variants", help="a list: fp32,ort-int8 (default: fp32, and ort-fp32 of an ONNX file)")
    parser.add_argument("--batch-sizes", default="1-8", help="batch sizes to test: 2,4 or 1-8")
    parser.add_argument("--threads", metavar="T", help="how many threads an operation uses (default: all cores)")
    parser.add_argument(
        "--inputs",
        metavar="FILE|DIR",
        help="arrays (.npy, .npz, .safetensors), a picture or a folder of them (default: drawn)",
    )
    parser.add_argument(
        "--input-shape",
        metavar="CxHxW",
        help="the shape of one example: 3x224x224; several inputs: 3x32x32,12 (default: as the network says)",
    )
    parser.add_argument("--batch-axis", metavar="NAME=K", help="which axis of an ONNX file is the batch: x=1,y=1")
    parser.add_argument("--seed", default="42069", help="the seed of random inputs")
    parser.add_argument("--seconds", metavar="S", help="begin no further batch size after S seconds; says which")
    parser.add_argument("--timeout", default="120", metavar="S", help="end a network that is silent for S seconds")
    parser.add_argument("--junit", metavar="FILE", help="also write the verdicts as JUnit XML")
    parser.add_argument("--markdown", metavar="FILE", help="also write what is printed for a pull request's comment")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Check, print, and say it by the exit code."""
    from isobatch.pipeline.config.own_network import read_batch_axes
    from isobatch.pipeline.machine.environment import available_cores
    from isobatch.pipeline.storage.files import asked_file, write_bytes
    from isobatch.pipeline.tools.check.asked import CheckRequest, shapes_of, target_of, variants_of
    from isobatch.pipeline.tools.check.run import check_network
    from isobatch.pipeline.user.progress import ProgressLine
    from isobatch.reports.files.junit import check_junit
    from isobatch.reports.pages.checked import lines_of, markdown, screen

    target = target_of(arguments.network, arguments.model, arguments.weights)
    sizes = batches(limited("--batch-sizes", arguments.batch_sizes, _LARGEST))
    if arguments.inputs and not Path(arguments.inputs).exists():
        raise UsageError("check-inputs", f"--inputs {arguments.inputs}: there is no such file or folder")
    if arguments.state_dict and target.kind != "checkpoint":
        raise UsageError("network", f"--state-dict is of a file of weights, and {target.name} is none: leave it out")
    asked = CheckRequest(
        target=target,
        variants=variants_of(target, arguments.variants),
        batch_sizes=tuple(sizes),
        threads=whole("--threads", arguments.threads, 1, 1024) if arguments.threads else available_cores(),
        inputs=arguments.inputs or "",
        shapes=shapes_of(arguments.input_shape),
        seed=whole("--seed", arguments.seed, 0),
        batch_axes=read_batch_axes(arguments.batch_axis, target.name if target.kind == "onnx" else None),
        seconds=seconds("--seconds", arguments.seconds) if arguments.seconds else 0.0,
        state_dict=arguments.state_dict,
    )
    timeout_s = seconds("--timeout", arguments.timeout)
    wanted = {name: asked_file(text) for name in ("junit", "markdown") if (text := getattr(arguments, name))}
    progress = ProgressLine(patience_s=0.0)
    try:
        report = check_network(asked, timeout_s, (lambda text: None) if arguments.quiet else progress)
    finally:
        progress.end()
    if "junit" in wanted:
        said = {variant.variant: "\n".join(lines_of(report, variant)) for variant in report.variants}
        write_bytes(wanted["junit"], [check_junit(report, said)])
    if "markdown" in wanted:
        write_bytes(wanted["markdown"], [markdown(report).encode()])
    if arguments.json:
        print(report.model_dump_json(indent=1))
    else:
        for text in screen(report):
            print(text)
    return report.exit_code


COMMAND = Command(
    usage="NETWORK",
    summary="is this network batch-invariant? An answer in under half a minute, and as the exit code: 0, 1 or 3",
    add_arguments=add_arguments,
    run=run,
)
