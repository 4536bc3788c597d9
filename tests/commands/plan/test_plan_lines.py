"""The formulas of a plan against the papers' own numbers, and against tensors that real training holds."""

import pytest
import torch
from peft import LoraConfig
from torch.utils.flop_counter import FlopCounterMode

from kedrec.commands.plan.decoder_costs import (
    Attention,
    Decoder,
    Layer,
    Matrix,
    Work,
    activations,
    flops,
    layer_activations,
    logits,
)
from kedrec.commands.plan.devices import device, seconds
from kedrec.commands.plan.model_states import states
from kedrec.commands.plan.parameter_counts import decoder_of, parameters_of
from kedrec.commands.plan.table_costs import Batch, Tables, exchanged, gradient_bytes, traffic
from kedrec.kedrec_lm.student import Student
from kedrec.lladr.kge import KGE

EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WORK = Work(batch=2, tokens=96, supervised=96)
SETTINGS = {
    "every weight, float32": {"lora": None, "dtype": "float32"},
    "every weight, bfloat16": {"lora": None, "dtype": "bfloat16"},
    "adapters, float32": {"lora": {"target_modules": EVERY}, "dtype": "float32"},
    "adapters, bfloat16": {"lora": {"target_modules": EVERY}, "dtype": "bfloat16"},
    "adapters of two matrices": {"lora": {"target_modules": ["q_proj", "v_proj"]}, "dtype": "bfloat16"},
    "adapters of the top": {"lora": {"target_modules": EVERY, "layers_to_transform": [4, 5]}, "dtype": "bfloat16"},
}


@pytest.fixture(scope="module")
def base(tiny_base, tmp_path_factory):
    """A LLaMA of 6 layers: what lies outside of its layers counts little."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base")
    PreTrainedTokenizerFast.from_pretrained(tiny_base).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=600,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS.keys())
def student(request, base, store):
    settings = dict(request.param)
    if settings["lora"] is not None:
        settings["lora"] = LoraConfig(r=4, task_type="CAUSAL_LM", **settings["lora"])
    model = Student(str(base), **settings)
    model.configure_model()
    return model


def sizes(student):
    """Bytes of a number that is computed with, and of one that is trained."""
    trained = next(parameter for parameter in student.net.parameters() if parameter.requires_grad)
    return {"float32": 4, "bfloat16": 2}[student.dtype_name], trained.element_size()


def rows_of(student):
    """The decoder's output before the projection to the vocabulary, with its gradients' history."""
    net = student.net.base_model.model.model if student.lora else student.net.model
    return net(input_ids=torch.randint(600, (WORK.batch, WORK.tokens)), use_cache=False).last_hidden_state


def kept_bytes(student, run):
    """The bytes of distinct tensors that autograd keeps for the backward pass, weights left out."""
    known = {one.untyped_storage()._cdata for one in (*student.net.parameters(), *student.net.buffers())}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        rows = run(student)
    assert rows.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


def test_parameters_are_those_of_the_real_model(student):
    decoder = decoder_of(student)
    parameters = list(student.net.parameters())
    assert decoder.frozen + decoder.trained == sum(one.numel() for one in parameters)
    assert decoder.trained == sum(one.numel() for one in parameters if one.requires_grad)


def test_activations_are_what_autograd_keeps(student):
    decoder, (compute, adapter) = decoder_of(student), sizes(student)
    assert activations(decoder, WORK, compute, adapter, checkpointed=False) == pytest.approx(
        kept_bytes(student, rows_of), rel=0.03
    )


def test_checkpoints_keep_the_inputs_of_layers_and_one_layer_at_a_time(student):
    decoder, (compute, adapter) = decoder_of(student), sizes(student)
    student.net.enable_input_require_grads()
    student.net.activation_checkpointing_enable()
    inputs = kept_bytes(student, rows_of)
    own = max(layer_activations(decoder, layer, compute, adapter) for layer in decoder.layers)
    planned = activations(decoder, WORK, compute, adapter, checkpointed=True)
    assert planned - WORK.batch * WORK.tokens * own == pytest.approx(inputs, rel=0.02)


def test_flops_are_those_that_torch_counts(student):
    net = student.net.get_base_model() if student.lora else student.net
    net.set_attn_implementation("eager")  # matrix products, which torch counts; fused attention on a CPU it does not
    with FlopCounterMode(display=False) as counter:
        ids = torch.randint(600, (WORK.batch, WORK.tokens))
        student.net(input_ids=ids, use_cache=False).logits.float().mean().backward()
    assert flops(decoder_of(student), WORK).model == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_states_are_those_of_the_real_optimizer(student):
    rows_of(student).float().mean().backward()
    trained = [one for one in student.net.parameters() if one.requires_grad]
    for one in trained:
        one.grad = torch.zeros_like(one) if one.grad is None else one.grad  # the projection, which was not run
    optimizer = torch.optim.AdamW(trained)
    optimizer.step()
    held = [value for state in optimizer.state.values() for value in state.values() if value.dim()]
    decoder = decoder_of(student)
    compute, adapter = sizes(student)
    planned = states("ddp", 1, decoder.frozen, decoder.trained, compute, adapter)
    assert planned.weights == sum(one.nbytes for one in student.net.parameters())
    assert planned.gradients == sum(one.grad.nbytes for one in trained)
    assert planned.optimizer == sum(one.nbytes for one in held)


def test_logits_are_kept_as_computed_in_float32_and_as_log_softmax(base, store):
    decoder = decoder_of(Student(str(base), lora=None, dtype="float32"))
    assert logits(decoder, Work(2, 96, 10), 4) == 2 * 10 * 600 * 8
    assert logits(decoder, Work(2, 96, 10), 2) == 2 * 10 * 600 * 10


def test_a_gpt_layer_keeps_34_bytes_a_width_as_korthikanti_count_it():
    width = 128
    names = {"q_proj": (1, 1), "k_proj": (1, 1), "v_proj": (1, 1), "out_proj": (1, 1), "fc1": (1, 4), "fc2": (4, 1)}
    matrices = (Matrix(name, inner * width, outer * width, trained=True) for name, (inner, outer) in names.items())
    layer = Layer(tuple(matrices), norms_trained=True)
    decoder = Decoder(width, Attention(8, 8, width // 8), 4 * width, 1000, False, False, (layer,), 0, 1)
    few = 2 * 8 + 4 * 8  # means and roots of two norms, and the fused attention's sums, which the paper leaves out
    assert layer_activations(decoder, layer, 2, 2) - few == (34 - 2) * width  # less two masks of dropout, a byte each


def test_all_of_palm_s_6_operations_are_counted_where_every_weight_is_trained():
    layer = Layer((Matrix("fc1", 64, 256, trained=True), Matrix("fc2", 256, 64, trained=True)), norms_trained=True)
    decoder = Decoder(64, Attention(4, 4, 16), 256, 100, False, True, (layer,) * 3, 0, 1, True, True)
    weights = 3 * 2 * 64 * 256 + 64 * 100
    attention = 12 * 3 * 4 * 16 * 50  # PaLM's 12 L H Q T
    assert flops(decoder, Work(2, 50, 50)).model == 2 * 50 * (6 * weights + attention)


@pytest.mark.parametrize(("stage", "gigabytes"), [("ddp", 120), ("zero1", 31.4), ("zero2", 16.6), ("zero3", 1.88)])
def test_states_are_those_of_zero_s_figure_1(stage, gigabytes):
    told = states(stage, 64, 0, 7_500_000_000, 2, 2)
    optimizer = 12 * 7.5e9 if stage == "ddp" else told.optimizer  # the paper's, with float32 copies; torch has none
    assert told.weights + told.gradients + optimizer == pytest.approx(gigabytes * 1e9, rel=0.01)


def test_offloaded_states_are_zero_infinity_s_20_bytes_on_the_host():
    told = states("zero3_offload", 4, 0, 1_000_000, 2, 2)
    assert told.host * 4 == 20 * 1_000_000
    assert told.weights == told.gradients == told.optimizer == 0


def test_frozen_weights_are_shared_by_stage_3_alone():
    held = {stage: states(stage, 8, 1000, 0, 2, 2).weights for stage in ("ddp", "zero1", "zero2", "zero3")}
    assert held == {"ddp": 2000, "zero1": 2000, "zero2": 2000, "zero3": 250}


def test_time_is_operations_over_the_share_of_the_peak():
    assert seconds(989.4e12 * 100, 0.5, device("h100").flops_16, 8) == pytest.approx(25)


@pytest.mark.parametrize("optimizer", ["adagrad", "lazy_adam", "adam"])
@pytest.mark.parametrize("scorer", ["transe_l1", "rotate", "hake"])
def test_tables_are_those_of_the_real_embeddings(optimizer, scorer):
    from kedrec.lladr.kge_settings import OptimizerSettings
    from kedrec.lladr.negative_sampling import TripleBatches
    from kedrec.lladr.triple_settings import NegativeSettings

    model = KGE(scorer, dim=16, optimizer=OptimizerSettings(optimizer))
    model.make_tables(300, 7)
    draw = torch.Generator().manual_seed(0)
    triples = torch.stack([torch.randint(n, (200,), generator=draw) for n in (300, 7, 300)], 1).int()
    one = next(iter(TripleBatches(triples, torch.ones(200), None, 300, NegativeSettings(8, 4), 64, None, seed=0)))
    adam = model.make_optimizer()
    model.losses(one)["link"].backward()
    scorer_own = sum(p.numel() for p in model.scorer.parameters())
    grads = [table.weight.grad for table in (model.entity, model.relation)]
    held = sum((g._values().nbytes + g._indices().nbytes) if g.is_sparse else g.nbytes for g in grads)
    adam.step()
    kept = [v for s in adam.state.values() for v in s.values() if isinstance(v, torch.Tensor) and v.dim()]
    tables = Tables(300, 7, model.scorer.entity_width, model.scorer.relation_width, optimizer)
    assert tables.numbers + scorer_own == sum(p.numel() for p in model.parameters())
    assert tables.weights == model.entity.weight.nbytes + model.relation.weight.nbytes
    assert gradient_bytes(tables, Batch(64, 8, 4)) == held
    own = scorer_own * (4 if optimizer == "adagrad" else 8)
    assert tables.optimizer_state + own == sum(one.nbytes for one in kept)


def test_a_step_of_row_optimizers_costs_the_same_whatever_the_number_of_entities():
    batch = Batch(512, 128, 8)
    small, large = (Tables(rows, 100, 400, 400, "lazy_adam") for rows in (10_000, 100_000_000))
    assert traffic(small, batch) == traffic(large, batch)
    dense = [traffic(Tables(rows, 0, 400, 400, "adam"), batch) for rows in (10_000, 100_000_000)]
    assert dense[1] == 10_000 * dense[0]
    assert exchanged(large, batch, 1) == 0
    assert exchanged(large, batch, 8) == 2 * (2 * 512 + 8 * 128) * 1600 * 7 / 8


def test_other_models_are_counted_where_no_data_are_needed():
    from lightning import LightningModule

    from kedrec.mimic.safedrug import SafeDrug

    class Small(LightningModule):
        def configure_model(self):
            self.layer = torch.nn.Linear(1000, 1000, bias=False)
            self.fixed = torch.nn.Parameter(torch.zeros(7), requires_grad=False)

    assert parameters_of(Small()) == (1_000_007, 1_000_000)
    assert parameters_of(SafeDrug()) is None
