"""The words of the report, one plain sentence each."""

from isobatch.pipeline.records.study import Study
from isobatch.pipeline.records.wording import clause
from isobatch.reports.blocks import Block, Definitions, line
from isobatch.reports.sections import Section

TERMS = {
    "variant": "One way to run the network: a runtime, a precision and a recipe.",
    "singles": "Every image run alone, N = 1.",
    "batched": "Images run k at a time, N = k.",
    "answer": "Of a classifier the top-1 class; else the decision, the set of labels or the nearest neighbour; of raw "
    "outputs every byte.",
    "logit": "One value of the network's output, whatever it stands for.",
    "condition": "What stays fixed while N changes: threads, instruction set, memory format, image size, device, "
    "position, neighbours.",
    "repeatable": "The same call on the same bytes twice gives the same bytes.",
    "batch-invariant": "For every tested N, every image's output bytes equal its singles bytes.",
    "top1-stable": "Not batch-invariant, but no answer changed and no image's margin is so small that the "
    "noise seen could turn it.",
    "batch-variant": "Neither batch-invariant nor top1-stable.",
    "not-repeatable": "The same call gave different bytes; nothing further can be said.",
    "invalid": "Outputs that are not finite, all alike, or clipped at their limits; never a candidate.",
    "class of N": "Batch sizes whose outputs are bitwise equal to one another.",
    "batch noise": "The largest |batched - singles| over all inputs and N, among a set's own images, relative to the "
    "largest |logit|.",
    "accuracy drop": "Top-1 of fp32 (of an ONNX file ort-fp32) minus that of the variant on the same images.",
    "origin": "A layer whose output for an image depends on N although its input does not: here a difference starts.",
    "carrier": "A layer that differs only because its input already did.",
    "sibling": "A layer of the same kernels and shapes as another.",
    "surgical": "The repair that runs only the origins in one fixed shape and leaves every other layer as it is.",
    "reference": "Singles of the same weights in fp64; for an ONNX file, singles of the file as it is; where the "
    "network does not run in fp64, those of fp32. Numeric error is measured against them.",
    "agreement": "How often a variant's answer is the reference's, with or without labels; drawn noise left out.",
    "relative": "Divided by the largest |logit| of the same images.",
    "ULP": "Unit in the last place: the distance between neighbouring floating-point numbers of the output's type. "
    "n/a where values are as far apart as a number and its double.",
    "SQNR": "Signal to quantization noise ratio in decibel: higher is closer to the reference.",
    "margin": "Top-1 logit minus top-2 logit: how far an answer is from changing.",
    "race": "Calls of the candidates in turn, all others stopped: only its times are compared.",
    "sureness": "The share of resamples of the race's rounds in which the same variant is chosen.",
    "Pareto set": "The variants that no other one beats in accuracy, cost and stability at once.",
    "at most (95 %)": "The exact one-sided upper limit that the observed counts leave open with 95 % confidence.",
}


def defined(term: str) -> str:
    """A word with its meaning, as a caption says it: ``Batch noise: the largest ...``"""
    return f"{term[:1].upper()}{term[1:]}: {clause(TERMS[term])}."


def blocks(study: Study) -> list[Block]:
    """All terms; the same for every study."""
    return [Definitions(tuple((term, line(meaning)) for term, meaning in TERMS.items()))]


SECTION = Section(order=150, title="Glossary", show="folded", write=blocks)
