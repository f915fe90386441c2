"""Language models of a few thousand weights, made on the spot in seconds.

One knows some conversations by heart. It sees only the last `REACH` tokens, so it answers a question the same way whatever
stands before it. The other one has learned nothing and talks until it is stopped.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
WINDOW = 16_384
REACH = 48
LAYERS = 2

TEMPLATE = """
{%- if tools %}{{ '<|im_start|>system\\nTools: ' + (tools | tojson) + '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


def save_learned_model(folder: Path, conversations: dict[str, str], template: str = TEMPLATE) -> None:
    """Saves a model that answers each question, or each end of a tool's result, as the conversations say.

    As many models do, it comes with a temperature of its own, at which it talks nonsense.
    """
    tokenizer = _tokenizer(conversations, template)
    tokenizer.save_pretrained(folder)
    model = _trained(tokenizer, conversations)
    model.generation_config.update(do_sample=True, temperature=50.0, top_k=200)
    model.save_pretrained(folder)


def save_endless_model(folder: Path) -> None:
    """Saves a model that never ends an answer."""
    tokenizer = _tokenizer({"问": "答"}, TEMPLATE)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=1_000_000,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] = 0  # some other token is always likelier
    model.save_pretrained(folder)


def _tokenizer(conversations: dict[str, str], template: str) -> PreTrainedTokenizerFast:
    """Of bytes, with so few merges that a Chinese character takes two or three tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + 40, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator([f"{question}\n{answer}" for question, answer in conversations.items()], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, pad_token=PAD)
    tokenizer.add_special_tokens({"additional_special_tokens": [START]})
    tokenizer.add_tokens(MARKS)
    tokenizer.chat_template = template
    return tokenizer


def _trained(tokenizer: PreTrainedTokenizerFast, conversations: dict[str, str]) -> MistralForCausalLM:
    torch.manual_seed(0)
    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=REACH // LAYERS + 1,
            max_position_embeddings=WINDOW,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0)
    for _ in range(600):
        loss = model(**_batch(tokenizer, conversations)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.01:
            break
    return model.eval()


def _batch(tokenizer: PreTrainedTokenizerFast, conversations: dict[str, str]) -> dict[str, torch.Tensor]:
    """All conversations, each after other random words; only the answers are to be learned."""
    inputs, labels = [], []
    for question, answer in conversations.items():
        asked = tokenizer.encode(f"{question}{END}\n{START}assistant\n", add_special_tokens=False)
        answered = tokenizer.encode(f"{answer}{END}", add_special_tokens=False)
        before = torch.randint(0, 256, (REACH,)).tolist()
        inputs.append(torch.tensor(before + asked + answered))
        labels.append(torch.tensor([-100] * len(before + asked) + answered))
    pad = torch.nn.utils.rnn.pad_sequence
    return {"input_ids": pad(inputs, True, tokenizer.pad_token_id), "labels": pad(labels, True, -100)}
