"""Every code of an error or warning: what it means, why it happens, what to do. The one place that explains them.

Codes are stable: a script may rely on them. A test reads the sources and fails where one is used and not explained.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from isobatch import PROGRAM
from isobatch.models.shared.extras import to_add
from isobatch.models.spec.nearest import did_you_mean
from isobatch.pipeline.records.errors import UsageError


@dataclass(frozen=True)
class CodeMeaning:
    """One code. An error ends the command; a warning stands in the report and changes no exit code."""

    kind: Literal["error", "warning"]
    means: str
    why: str
    todo: str


_error, _warning = partial(CodeMeaning, "error"), partial(CodeMeaning, "warning")

CODES: dict[str, CodeMeaning] = {
    "usage": _error(
        "The command line could not be read.",
        "A flag is unknown, has no value, or has a value outside its choices.",
        f"Compare with {PROGRAM} --help, or {PROGRAM} COMMAND --help.",
    ),
    "unknown-command": _error(
        "The first word is no command.",
        "Words without dashes in front are taken for a command.",
        "Use the name that the message suggests; a study needs no command word.",
    ),
    "unknown-variant": _error(
        "A name in --variants or --variant is no variant, or none of the run.",
        "It is misspelt, or belongs to another version of the program.",
        f"See {PROGRAM} --list-variants.",
    ),
    "unfinished-report": _error(
        "The report was written before its study ended.",
        "A study writes what it knows after each stage; it is still running, or was stopped.",
        "Run the same command again: it goes on where it stopped. render draws the report as it is.",
    ),
    "pending": _warning(
        "The report was written before its study ended: parts are still to come.",
        "A study writes what it knows after each stage.",
        "Wait for its end, or run the same command again: it goes on where it stopped.",
    ),
    "unknown-rung": _error(
        "A name in --rung is no rung of the ladder of repairs.",
        "It is misspelt, or belongs to another version of the program.",
        "Use one of the names in the message, or leave --rung out.",
    ),
    "policy-file": _error(
        "The policy file cannot be used.",
        "It cannot be read, is not TOML, or has a name or value that a policy does not have.",
        "Correct what the message names; a policy has the same parts as the policy flags.",
    ),
    "record": _error(
        "The verification record cannot be used.",
        "It is damaged, names files that lie beside it as no plain files, or was written before the first release.",
        "Give the folder that deploy or repair wrote, with all of its files; an old one is made anew with them.",
    ),
    "nothing-chosen": _error(
        "There is nothing to ship: the run recommends no variant.",
        "No variant met its policy, or it was not decided.",
        f"Name one with --variant, or decide anew with {PROGRAM} recommend RUN and other demands.",
    ),
    "not-deployable": _error(
        "This variant cannot be shipped as files.",
        "It is the reference, it ran on another device, its code is your own or timm's, or how it was repaired is not "
        "in the run.",
        f"Ship another variant (of your own code an ort- variant), or write a repaired one with {PROGRAM} repair.",
    ),
    "artifact-gone": _error(
        "The very artifact that was measured is no longer to be had.",
        "It is neither in the run's folder nor in the cache as it was, or the run is of an earlier version.",
        "Run the study again, and deploy that run.",
    ),
    "unknown-code": _error(
        "There is no such code to explain.",
        "It is misspelt, or belongs to another version of the program.",
        f"See {PROGRAM} help for all codes.",
    ),
    "bad-number": _error(
        "A number is missing, malformed or outside its range.",
        "Lists are written 2,4,8 and ranges 1-32; limits are numbers of at least 0.",
        "Correct the flag that the message names.",
    ),
    "settings": _error(
        "The configuration file cannot be used.",
        "It is absent, unreadable, too large, not TOML, or a value in it is of the wrong kind.",
        f"Correct it; {PROGRAM} --show-config prints what each setting is and where it comes from.",
    ),
    "unknown-setting": _error(
        "A key of the configuration file, or an ISOBATCH_ variable, is no setting.",
        "It is misspelt: a key is a flag of the study without its dashes, a variable ISOBATCH_ and the flag.",
        "Use the name that the message suggests, or remove it.",
    ),
    "weights": _error(
        "The weights cannot be had, or do not fit the model.",
        "The file is absent or damaged, holds code or non-finite values, fits another model; or there is no network.",
        "Follow the message; --weights digits (ResNet50) and --weights random need neither a file nor a network.",
    ),
    "network": _error(
        "The network that check was given cannot be had.",
        "No such name, file or factory; the factory raised; or a flag does not go with this kind of network.",
        "NETWORK is a torchvision name, package.module:factory, an ONNX file, or a file of weights with --model.",
    ),
    "input-shape": _error(
        "--input-shape is missing, malformed, or does not fit the network.",
        "An ONNX file fixes its sizes, or leaves some free; shapes are those of one example, without the batch axis.",
        "Write 3x224x224; for several inputs 3x32x32,12.",
    ),
    "check-inputs": _error(
        "The examples that check was given cannot be used.",
        "The file cannot be read, holds fewer than two examples, or pictures where the network takes no images.",
        "Give a .npy or .npz file with one example a row, a picture, or a folder of pictures; or leave --inputs out.",
    ),
    "onnx": _error(
        "The ONNX file is not one that can be studied.",
        "It is damaged, refers outside its folder, has custom operators, or is no classifier of NCHW float images.",
        "Follow the message; most often: export it again with a free batch axis.",
    ),
    "inputs": _error(
        "The images of the original question could not be drawn.",
        "The worker that draws them with torch's generator failed.",
        f"Run {PROGRAM} doctor; the images of --inputs digits need no drawing.",
    ),
    "unknown-inputs": _error(
        "--inputs is neither a keyword, nor a folder, nor a file of arrays.",
        "A path is misspelt, or a file of another kind was given.",
        "Give seed, digits, photos, a folder of images, or a .npy, .npz or .safetensors file; ./digits is a folder, "
        "digits the keyword.",
    ),
    "bad-request": _error(
        "A number that describes the inputs is too small.",
        "At least one image, two to calibrate with, and as many as the smallest of --batch-sizes are needed.",
        "Raise --images or --image-size, or lower --batch-sizes.",
    ),
    "no-images": _error(
        "No usable image is left.",
        "The folder is empty, or no file in it can be read as an image.",
        "Give a folder with jpeg, png, webp or bmp files.",
    ),
    "changed": _error(
        "An image changed while it was read.",
        "Another program writes into the folder.",
        "Run again when the files are at rest.",
    ),
    "npy-format": _error(
        "The .npy file cannot be read as an array.",
        "It is damaged, cut short, or holds Python objects, which are never loaded.",
        "Save a plain array with numpy.save.",
    ),
    "npy-dtype": _error(
        "The array's type is not one of images.",
        "float32, float64 and uint8 are taken.",
        "Convert it with .astype and save it again.",
    ),
    "npy-shape": _error(
        "The array's shape is not that of images, or not what the ONNX file takes.",
        "Pictures are [n, 3, height, width], channels before height and width; an ONNX file says what it takes.",
        "Save it again in that order: array.transpose(0, 3, 1, 2) for channels last.",
    ),
    "no-pictures": _error(
        "Pictures were asked for, and the ONNX file takes none.",
        "Its inputs are features, tokens, grey images or several arrays.",
        "Give --inputs FILE.npz with an array for each input, by name, or leave --inputs out to draw some.",
    ),
    "npy-not-finite": _error(
        "The array holds NaN or an infinity.",
        "No comparison of outputs means anything after that.",
        "Clean the data, or leave the image out.",
    ),
    "labels-file": _error(
        "The labels beside the images cannot be used.",
        "The file is no CSV or array of integers, has another number of rows than there are images, or names no class.",
        "Give a row for each image: file,class for a folder, the class alone in order for an array.",
    ),
    "classes-file": _error(
        "The names of the classes cannot be used.",
        "The file given with --classes cannot be read, or names another number of classes than the network has.",
        "Give a text file with the name of a class on each line, in the network's order, or a JSON list.",
    ),
    "calibration-overlap": _error(
        "An image is both evaluated and used to calibrate.",
        "Scales fitted to the images they are judged on would prove little.",
        "Give other images to one of the two.",
    ),
    "out-unusable": _error(
        "The folder or file that is asked for cannot be written.",
        "No permission, no space, a read-only disk, or something else stands in its place.",
        "Choose another place with --out.",
    ),
    "long-name": _error(
        "The name of a file or folder is longer than the system takes.",
        "A name has at most 255 bytes, a path 4,096.",
        "Give another name.",
    ),
    "out-finished": _error(
        "The folder given with --out holds a finished run.",
        "A finished run is never reused: its report would no longer be what it was.",
        "Choose another --out, or add --fresh to replace it.",
    ),
    "out-other-run": _error(
        "The folder given with --out holds an unfinished run of another configuration.",
        "Evidence of two configurations must not mix.",
        "Choose another --out, or add --fresh to replace it.",
    ),
    "out-in-use": _error(
        "Another study works in this folder.",
        "A run's folder is locked while its study lives; the lock goes with the process.",
        "Wait for it, or choose another --out.",
    ),
    "out-not-empty": _error(
        "The folder given with --out exists and is no run's.",
        "The program does not write among files that are not its own.",
        "Choose another --out.",
    ),
    "report": _error(
        "There is no readable report where one was named.",
        "The run is unfinished, the file is damaged or no report, or a newer version of the program wrote it.",
        "Name a finished run's folder or its report.json; run the study again, or use the newer version.",
    ),
    "incomparable-runs": _error(
        "Nothing in the two runs can be compared.",
        "They used other weights, or share no input set of equal content.",
        "Run both with the same model, weights and inputs.",
    ),
    "unknown-grid": _error(
        "There is no such grid of conditions.",
        "--grid names neither a preset nor a file that ends in .toml.",
        "Give default, wide, or a TOML file of axes.",
    ),
    "bad-grid": _error(
        "A file of the grid cannot be used.",
        "It is no TOML, names an axis that does not exist, or gives one a value of another kind.",
        "Correct what the message names; axes are those of the flags, such as threads = [1, 2].",
    ),
    "bad-word": _error(
        "A flag was given a word that it does not know.",
        "The word is misspelt, or belongs to another flag.",
        "Use one of the words that the message lists.",
    ),
    "unknown-device": _error(
        "--device names nothing that a study can run on.",
        "The name is misspelt, or of a device that is not supported.",
        "Give cpu or cuda.",
    ),
    "no-device": _error(
        "The device asked for cannot be used here.",
        "There is no GPU or no driver for it, or torch is built without support for it; the message says which.",
        f"Use a machine with an NVIDIA GPU and torch's CUDA build, or --device cpu. See {PROGRAM} doctor.",
    ),
    "unknown-fault": _error(
        "The self-test has no such planted fault.",
        "The name is misspelt.",
        "Use one of the names that the message lists.",
    ),
    "cache-in-use": _error(
        "The cache cannot be cleared now.",
        "A study that uses it is running; the lock goes with the process.",
        "Wait for the study, or end it.",
    ),
    "cache-unusable": _error(
        "The cache cannot be cleared as it stands.",
        "Its folder is a symbolic link, which is never followed, or it cannot be written.",
        "Remove by hand what the message names.",
    ),
    "missing-package": _error(
        "A Python package that the program needs is not installed.",
        "The program was started with another Python than that of its environment, or the environment is incomplete.",
        "In a clone make run creates the environment: use .venv/bin/python run.py. Elsewhere install isobatch again.",
    ),
    "libraries": _error(
        "No worker process can start.",
        "torch or onnxruntime cannot be loaded: another version than the pinned one, or one that does not fit the "
        "machine.",
        "Install the versions of requirements.txt (make run creates the environment); doctor shows what loads here.",
    ),
    "storage": _error(
        "A file of the run or the cache could not be written or read back.",
        "The disk is full or read-only, or the file was altered.",
        "Free space or choose another place (--out, XDG_CACHE_HOME, TMPDIR); a study given again goes on.",
    ),
    "ray-missing": _error(
        "--engine ray was asked for, and the package ray is not installed.",
        "Ray is an extra: a study on one machine does not need it.",
        f"{to_add('ray')}, in the same environment; or leave --engine ray out.",
    ),
    "ray-cluster": _error(
        "The Ray cluster cannot be used.",
        "Nothing answers at --ray-address, the token or a version is another, or no machine of it is like this one.",
        f"Follow the message; the same study can be run on each machine and the runs compared: {PROGRAM} compare.",
    ),
    "engine": _error(
        "The machines that the study ran on are gone.",
        "Every node of the Ray cluster ended or was cut off.",
        "Start nodes again; the study, given again, goes on where it stopped.",
    ),
    "internal": _error(
        "The program itself failed.",
        "This is a defect in it, or something in the machine that it did not expect.",
        "Run again with --debug and report what it prints.",
    ),
    "not-installed": _warning(
        "Variants of an extra are not among those of all: what they need is not installed.",
        "OpenVINO is a package of its own, and the variants of torch.compile need a C++ compiler.",
        "Run the command that the warning names, and the study again; or leave them out, nothing else needs them.",
    ),
    "no-accuracy-limit": _warning(
        "The policy sets no limit on the accuracy drop.",
        "Too few labelled images were evaluated for a default limit to be decidable.",
        "Give labelled images with --inputs DIR, or set --max-accuracy-drop.",
    ),
    "no-agreement": _warning(
        "No variant's answers were compared with the reference's, so --min-agreement is not applied.",
        "All inputs are drawn, and what noise is answered means nothing; or the outputs are raw, and no answer.",
        "Give inputs of your own with --inputs, or say with --outcome what the outputs are.",
    ),
    "lost-part": _warning(
        "A part of the study or of its report is missing.",
        "The program failed while it decided, wrote or drew that part; all other parts are as they should be.",
        f"{PROGRAM} render RUN draws the reports again; with --debug a study prints what went wrong: report that.",
    ),
    "other-machine": _warning(
        "A machine of the cluster took no part in the study.",
        "Its processor, caps or library versions are other than here: its evidence would be of another condition.",
        f"Run the study there too, and {PROGRAM} compare the two runs: the difference is a result of its own.",
    ),
    "mixing-unknown": _warning(
        "Whether the network itself mixes images is not known.",
        "The control could not be run, or its two calls on the same bytes gave other bytes.",
        "See the reason in the text; a network that is not repeatable has to be mended first.",
    ),
    "no-reference": _warning(
        "fp64 is not the reference, or nothing is measured against one.",
        "fp64, or the variant that accuracy is measured against, could not be built or run. A network that makes "
        "float32 numbers of its own inside does not run in float64; fp32 is its reference then.",
        "See the reason in the text; batch against singles is measured all the same. In the network's code, give what "
        "it makes the type of its input: torch.arange(n, dtype=x.dtype).",
    ),
    "unfit-size": _error(
        "The network takes no images of this size.",
        "Some networks are bound to one size; others shrink small images to nothing.",
        "Leave --image-size out, which is then that of the weights, or give images of a size that the network takes.",
    ),
    "set-left-out": _warning(
        "An input set was not run at all.",
        "The network takes no images of its size; the seed set has a size of its own by its recipe.",
        "Nothing: the verdicts rest on the other sets.",
    ),
    "own-size": _warning(
        "An input set was not run at one of the image sizes asked for.",
        "Its images have a size of their own: the seed set by its recipe, an array by its shape.",
        "Nothing, or give images in a folder, which are cut to any size.",
    ),
    "budget": _warning(
        "Something was left out so that the study keeps to --budget.",
        "It was expected to take longer, by what was taken so far, that of earlier starts of the run included.",
        "Give it more time, or leave --budget out: either starts a run of its own.",
    ),
    "shared-times": _warning(
        "The passes were timed while other workers ran beside them.",
        "With --workers and few threads, jobs run side by side; the race that decides runs each call alone.",
        "Leave --workers out where the report's latency and throughput of the passes matter.",
    ),
    "as-given": _warning(
        "The ONNX file is quantized already: it is measured as it is, and nothing is made from it.",
        "Other precisions are made from float32 weights, which such a file no longer holds.",
        "Give the float32 file that it was made from, to measure them.",
    ),
    "duplicate-images": _warning(
        "Some images have the same content.",
        "n counts distinct images: a copy is no further evidence.",
        "Give other images if n is too small.",
    ),
    "other-weights": _warning(
        "The weights file holds more than one set of weights of this network.",
        "Training programs keep a moving average beside the raw weights, or a teacher beside its student.",
        "Choose with --state-dict KEY; the text names the one that is used and the others.",
    ),
    "training-mode": _warning(
        "The network, or a part of it, is in training mode.",
        "A torch module is in training mode until .eval() is called: dropout draws, and BatchNorm mixes the batch.",
        "Call .eval() in the factory, or before the export. A factory's network that is in training mode as a whole is "
        "measured in eval mode; a part of it, and an ONNX file, as it is.",
    ),
    "exported-for-arrays": _warning(
        "A factory's network was exported to ONNX, and that file is studied.",
        "A study shows torch networks pictures in float32; one that takes other arrays, or casts to types of its own, "
        "is measured as an ONNX file.",
        f"Nothing; {PROGRAM} check compares the torch network itself.",
    ),
    "weights-left-out": _warning(
        "Tensors of the weights file are not used.",
        "They belong to the loss, or stand outside the network whose names the others have.",
        "Nothing, where they serve training only; else export the whole network to ONNX and give --onnx.",
    ),
    "enlarged-pictures": _warning(
        "Pictures are smaller than what the network is given, and are enlarged.",
        "The size comes from the weights or from --image-size; what enlarging adds was in no picture.",
        "Give --image-size with the pictures' own size, where the network takes it.",
    ),
    "assumed-preprocessing": _warning(
        "What pictures are made into is not known of this network, and ImageNet's recipe is assumed.",
        "A file of weights or a graph does not say what pixels it was trained on, and nothing beside it does.",
        "Say it with --mean, --std, --scale, --resize, --crop, or put preprocessor_config.json beside the file.",
    ),
    "labels-unused": _warning(
        "Labels were given, and are not used.",
        "A picture lies beside the folders, a folder's name is neither a class index nor the name of a class, the "
        "outcome of the network is no class, or the images are the program's own.",
        "Use --class-order text for folders in torchvision's order, or --classes FILE; the text says what was wrong.",
    ),
    "mixed-splits": _warning(
        "Pictures of training and of testing are measured together.",
        "The folder holds both parts of a data set side by side.",
        "Give the folder of one of them with --inputs.",
    ),
    "one-image": _warning(
        "A set has one image, so there is no batch and no verdict on it.",
        "Images that repeat others are left out: a file of zeros holds one image, whatever its length.",
        "Give at least two different images; 16 and more tell something.",
    ),
    "inputs-not-read": _warning(
        "A folder or file bears the name of images that Isobatch brings.",
        "digits, photos and seed are keywords of --inputs, and a keyword wins over a path.",
        "Write the path with ./ before it.",
    ),
    "skipped-images": _warning(
        "Some files were left out.",
        "They could not be read as images, or repeat others; the report lists each with its reason.",
        "Repair or remove them.",
    ),
}


def explain_code(code: str) -> CodeMeaning:
    """What a code means. Raises UsageError ("unknown-code") naming the nearest known one."""
    if code in CODES:
        return CODES[code]
    raise UsageError(
        "unknown-code", f"unknown code {code!r}: {did_you_mean(code, CODES)} {PROGRAM} help lists them all"
    )
