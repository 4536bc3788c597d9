"""What training a decoder takes beside its states: bytes of activations and logits, FLOPs.

Pure functions of numbers. Activations are counted as by Korthikanti et al., arXiv 2205.05198, section 4, in the layers
as transformers and PEFT run them; FLOPs and their utilisation (MFU) as in PaLM, Chowdhery et al., arXiv 2204.02311,
appendix B.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

# Matrices that read the same input, which is kept once; every other one has an input of its own.
_SHARED = {"q_proj": "attention", "k_proj": "attention", "v_proj": "attention", "gate_proj": "mlp", "up_proj": "mlp"}
_AFTER_ATTENTION = ("o_proj", "out_proj")  # their input is the attention's output, which the attention keeps anyway


@dataclass(frozen=True)
class Matrix:
    """A matrix of a decoder layer.

    Attributes:
        name: ``q_proj`` and so on.
        inputs: width of its input.
        outputs: width of its output.
        trained: whether it is trained itself.
        rank: of its LoRA adapter; 0 without.
    """

    name: str
    inputs: int
    outputs: int
    trained: bool = False
    rank: int = 0

    @property
    def size(self) -> int:
        """Its weights."""
        return self.inputs * self.outputs

    @property
    def adapter(self) -> int:
        """Its adapter's weights."""
        return self.rank * (self.inputs + self.outputs)

    @property
    def learned(self) -> int:
        """The weights, its own or its adapter's, that are trained."""
        return self.adapter + self.size * self.trained


@dataclass(frozen=True)
class Layer:
    """A decoder layer: its matrices in the order in which they are applied, and whether its norms are trained."""

    matrices: tuple[Matrix, ...]
    norms_trained: bool = False

    @property
    def learns(self) -> bool:
        """Whether anything in it is trained."""
        return self.norms_trained or any(matrix.learned for matrix in self.matrices)


@dataclass(frozen=True)
class Attention:
    """The attention heads of a layer.

    Attributes:
        query: heads of the queries.
        key_value: heads of the keys and values.
        width: dimension of each head.
    """

    query: int
    key_value: int
    width: int


@dataclass(frozen=True)
class Decoder:
    """A causal LM without its weights.

    Attributes:
        hidden: width of a row.
        attention: its heads.
        feed_forward: width between the MLP's matrices.
        vocabulary: tokens.
        gated: whether the MLP is SwiGLU's product of two, or plain.
        rms: RMSNorm, as transformers computes it in float32, or torch's LayerNorm.
        layers: first to last.
        frozen: parameters that are not trained, all of the model.
        trained: those that are.
        head_trained: whether the projection to the vocabulary is.
        embedding_trained: whether the tokens' rows are: then the backward pass goes down to them.
    """

    hidden: int
    attention: Attention
    feed_forward: int
    vocabulary: int
    gated: bool
    rms: bool
    layers: tuple[Layer, ...]
    frozen: int
    trained: int
    head_trained: bool = False
    embedding_trained: bool = False

    @property
    def backward_layers(self) -> Sequence[Layer]:
        """The layers that the backward pass goes through: from the lowest that learns upwards."""
        if self.embedding_trained:
            return self.layers
        lowest = next((at for at, layer in enumerate(self.layers) if layer.learns), len(self.layers))
        return self.layers[lowest:]


@dataclass(frozen=True)
class Work:
    """What one process reads between two backward passes.

    Attributes:
        batch: conversations.
        tokens: of each, padding included.
        supervised: of these, where logits are wanted.
    """

    batch: int
    tokens: int
    supervised: int


def layer_activations(decoder: Decoder, layer: Layer, compute: int, adapter: int) -> int:
    """Return the bytes a token that the backward pass through a layer needs (Korthikanti et al., section 4.1).

    The paper's 34 bytes times the width are those of a layer that is trained in 16 bits, with dropout, GELU and four
    widths between the MLP's matrices; this counts the same without dropout, and for a fused attention, whose scores are
    not kept. A float32 adapter on a 16-bit matrix keeps a float32 copy of the input, for each matrix anew.

    Args:
        decoder: whose layer it is.
        layer: as it is trained.
        compute: bytes of a number that the layer computes with.
        adapter: bytes of an adapter's.
    """
    norm = _kept_by_norm(decoder, layer.norms_trained, compute)
    heads = decoder.attention
    attention = 2 * compute * (heads.query + heads.key_value) * heads.width + 4 * heads.query
    between = compute * decoder.feed_forward * (3 if decoder.gated else 1)
    return 2 * norm + attention + between + sum(_kept_inputs(layer, compute, adapter))


def _kept_by_norm(decoder: Decoder, trained: bool, compute: int) -> int:
    """Return what a norm keeps, bytes a token: RMSNorm float32, and what it has normalised where its weight learns."""
    if decoder.rms:
        return 4 * decoder.hidden + 4 + compute * decoder.hidden * trained
    return compute * decoder.hidden + 8


def _kept_inputs(layer: Layer, compute: int, adapter: int) -> Iterator[int]:
    """Yield what matrices keep of their inputs, bytes a token."""
    for _, same in groupby(layer.matrices, key=lambda matrix: _SHARED.get(matrix.name, matrix.name)):
        group = list(same)
        adapted = [matrix for matrix in group if matrix.rank]
        yield adapter * sum(matrix.rank for matrix in adapted)
        if adapter != compute:
            yield adapter * sum(matrix.inputs for matrix in adapted)
        wanted = any(matrix.trained for matrix in group) or (adapted and adapter == compute)
        if wanted and group[0].name not in _AFTER_ATTENTION:
            yield compute * group[0].inputs


def activations(decoder: Decoder, work: Work, compute: int, adapter: int, checkpointed: bool) -> int:
    """Return the bytes that are kept for the backward pass through all layers and the last norm, logits left out.

    With checkpoints (Korthikanti et al., section 5) they are the inputs of all layers, and one layer's own.
    """
    tokens = work.batch * work.tokens
    last = _kept_by_norm(decoder, decoder.head_trained, compute)
    if checkpointed:
        one = max(layer_activations(decoder, layer, compute, adapter) for layer in decoder.layers)
        return tokens * (len(decoder.layers) * compute * decoder.hidden + one + last)
    own = sum(layer_activations(decoder, layer, compute, adapter) for layer in decoder.backward_layers)
    return tokens * (own + last)


def logits(decoder: Decoder, work: Work, compute: int) -> int:
    """Return the bytes of logits at their largest: as computed, in float32, and these ones' log-softmax or gradient."""
    return work.batch * work.supervised * decoder.vocabulary * (8 if compute == 4 else 8 + compute)


@dataclass(frozen=True)
class Flops:
    """Operations of one process between two backward passes; a multiply-add is two.

    Attributes:
        model: what the mathematics needs: what MFU counts.
        again: what checkpoints have computed a second time: not counted.
    """

    model: float
    again: float


def flops(decoder: Decoder, work: Work) -> Flops:
    """Return the operations of a forward and a backward pass (PaLM, appendix B).

    PaLM's 6 a token and parameter are 2 forward, 2 for the gradient of a matrix's input and 2 for its own gradient:
    the last only where it is trained, the second only from the lowest layer that learns upwards. Attention counts all
    pairs of positions, as in the paper. The projection to the vocabulary counts where logits are wanted.
    """
    tokens = work.batch * work.tokens
    scores = 4 * tokens * work.tokens * decoder.attention.query * decoder.attention.width  # of a layer, forward

    def of(layers: Sequence[Layer]) -> float:
        matrices = sum(matrix.size + matrix.adapter for layer in layers for matrix in layer.matrices)
        return 2 * tokens * matrices + len(layers) * scores

    through = decoder.backward_layers
    learned = sum(matrix.learned for layer in through for matrix in layer.matrices)
    head = 2 * work.batch * work.supervised * decoder.hidden * decoder.vocabulary
    backward = of(through) + len(through) * scores + 2 * tokens * learned + head * (2 if decoder.head_trained else 1)
    return Flops(of(decoder.layers) + head + backward, of(decoder.layers))
