"""What a training begins with that goes out from a file of parameters, which knows no more than their shapes."""

from __future__ import annotations

import os

from dpnet.checkpoint.state_dict import Linear, StateDict, chain, shapes_text
from dpnet.config.job import Job
from dpnet.config.keys import toml_value
from dpnet.data.sources import DataSource
from dpnet.errors import CheckpointError
from dpnet.nn.layout import Layout
from dpnet.text import counted, shorten, words
from dpnet.training.pretrained.begun import Begun, Transfer
from dpnet.training.pretrained.find import Pretrained


def of_file(pretrained: Pretrained, content: StateDict, job: Job, source: DataSource, layout: Layout) -> Transfer:
    """What a training begins with.

    Args:
        pretrained: what was found.
        content: what was read of it.
        job: the configuration.
        source: the data.
        layout: of the network.

    Raises:
        CheckpointError: these are not the parameters of such a network.
        ConfigError: a layer is to be frozen that starts anew.
    """
    layers = _ordered(pretrained, content, layout)
    outputs, expected = layers[-1].outputs, layout.sizes[-1]
    seen = f"it gives {counted(outputs, 'output')}, the {source.kind.words} here need {expected}"
    why = seen if outputs != expected else ""
    begun = Begun(pretrained, job, layout, why)
    names = [tensor.name for tensor in layout.tensors]
    keys = [layer.key(kind) for layer in layers for kind in ("weight", "bias")]
    params = begun.params({name: content.tensors[key] for name, key in zip(names, keys, strict=True)})
    told = [begun.head]
    if names != keys:
        told.append(f"its layers are, from the input on, {shorten(', '.join(layer.name for layer in layers), 200)}")
    if content.dtypes != job.model.dtype:
        told.append(f"its parameters are converted from {content.dtypes} to {job.model.dtype}")
    told.append(
        f"note: a file has parameters alone: the activation is taken to be {job.model.activation}, and inputs are "
        f"scaled anew, data.scale = {toml_value(job.data.scale)}"
    )
    folder = os.path.dirname(pretrained.record["path"])
    if os.path.exists(os.path.join(folder, "manifest.json")):
        told.append(f"note: --from {folder or '.'}, its checkpoint, would keep the scaling and know the outputs, too")
    if source.schema is not None:
        told.append(f"note: it knows no columns: those of {source.name} are taken for its inputs in order")
    if not why and source.kind.are_scaled:
        told.append("note: its outputs are taken for the targets, standardized by the training data")
    elif not why:
        told.append(f"note: its outputs are taken for the {source.kind.words} in order: {source.train.classes.text()}")
    return Transfer(params, None, [*told, *begun.anew])


def _ordered(pretrained: Pretrained, content: StateDict, layout: Layout) -> list[Linear]:
    """The layers of a file in the order of the network.

    Raises:
        CheckpointError: they are not those of the network, or have no clear order.
    """
    sizes, layers = layout.sizes, content.layers
    try:
        if len(layers) != len(sizes) - 1:
            raise ValueError(f"it has {counted(len(layers), 'layer')}, the network {len(sizes) - 1}")
        return chain(layers, sizes[0], sizes[1:-1])
    except ValueError as error:
        why = str(error)
    shapes = {key: array.shape for key, array in content.tensors.items()}
    expected = {tensor.name: tensor.shape for tensor in layout.tensors}
    raise CheckpointError(
        f"{pretrained.words} does not fit this job: {why}.\n  it holds {shapes_text(shapes)}\n"
        f"  the network of this job has {shapes_text(expected)}{_hint(layers, sizes)}"
    )


def _hint(layers: tuple[Linear, ...], sizes: tuple[int, ...]) -> str:
    """A line on what would fit; empty: that is not clear."""
    for inputs in sorted({layer.inputs for layer in layers}, key=lambda width: (width != sizes[0], width)):
        try:
            found = chain(layers, inputs)
        except ValueError:
            continue
        hidden = [layer.outputs for layer in found[:-1]]
        ways = [] if hidden == [*sizes[1:-1]] else [f"model.hidden_layers = {shorten(toml_value(hidden))}"]
        ways += [] if inputs == sizes[0] else [f"data of {counted(inputs, 'feature')}; these have {sizes[0]}"]
        return f"\nIt would fit {words(ways, 'and')}" if ways else ""
    return ""
