"""An NLI model small enough to be made at random."""

import json


def tiny_nli(folder, encoder_folder, labels=("contradiction", "neutral", "entailment"), bias=None):
    """A BERT classifier of 2 layers and 32 dimensions with the tiny encoder's words; ``bias`` decides its answers."""
    import torch
    from tokenizers import processors
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: row for row, label in enumerate(labels)},
    )
    model = BertForSequenceClassification(config)
    if bias is not None:
        torch.nn.init.zeros_(model.classifier.weight)
        model.classifier.bias.data = torch.tensor(bias)
    model.save_pretrained(folder)
    return folder


def relabel(folder, *labels):
    """Change the names of a model's labels, not its weights."""
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(row): label for row, label in enumerate(labels)}
    config["label2id"] = {label: row for row, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)
