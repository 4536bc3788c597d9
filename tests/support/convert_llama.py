"""Stands in for llama.cpp's converter where that is not installed: its command line, for plain LLaMAs alone.

``CONVERT_WRONGLY`` names a fault that a converter may have; the test then sees whether it is noticed.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import gguf
import numpy as np

TYPES = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "bf16": gguf.LlamaFileType.MOSTLY_BF16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


def weights(path):
    """Name and float32 values of each; numpy has no bfloat16, and importing torch would take seconds."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = (8 + length + at for at in entry["data_offsets"])
            if entry["dtype"] == "BF16":
                values = (np.frombuffer(content[start:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
            else:
                values = np.frombuffer(content[start:end], {"F16": np.float16, "F32": np.float32}[entry["dtype"]])
            yield name, values.astype(np.float32).reshape(entry["shape"])


def interleaved(weight, heads):
    """The order of a head's rows that llama.cpp's rotary embedding wants."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write(folder, path, outtype, fault):
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(TYPES[outtype])
    words = dict(tokenizer["model"]["vocab"]) | {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    tokens = sorted(words, key=words.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens[::-1] if fault == "tokens" else tokens)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    noise = np.random.default_rng(0)
    for name, value in weights(folder / "model.safetensors"):
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(name.split(".")[-2])
        weight = interleaved(value, config[heads]) if heads and fault != "order" else value
        if fault == "noise":
            weight = noise.standard_normal(weight.shape, dtype=np.float32)
        kind = None if weight.ndim == 1 or outtype == "f32" else gguf.GGMLQuantizationType[outtype.upper()]
        data = weight if kind is None else gguf.quantize(weight, kind)
        writer.add_tensor(names.get_name(name, (".weight",)), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--outfile", type=Path, required=True)
    parser.add_argument("--outtype", choices=TYPES, required=True)
    options = parser.parse_args()
    wrongly = os.environ.get("CONVERT_WRONGLY")
    if wrongly == "status":
        sys.exit("BPE pre-tokenizer was not recognized")
    if wrongly == "text":
        options.outfile.write_text("no GGUF at all")
    elif wrongly != "nothing":
        write(options.model, options.outfile, options.outtype, wrongly)
