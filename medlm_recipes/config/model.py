"""Keys of the model that train builds."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, one_of, optional_section, positive, within

# architecture -> (keys that it needs, keys that it may have besides)
_SHAPE = {
    "gpt2": (("n_layer", "n_head", "n_embd"), ("dropout",)),
    "llama": (
        ("n_layer", "n_head", "n_embd", "n_ffn"),
        ("n_kv_head", "rope_theta", "rms_eps", "pretrained", "revision", "trust_remote_code"),
    ),
    "hf": (("pretrained",), ("revision", "trust_remote_code")),
}


@dataclass
class LoraKeys:
    """Only small matrices beside the blocks' frozen linear layers are trained; export merges them into those."""

    r: int = key("rank of the matrices", 16, check=at_least(1))
    alpha: int = key("what they add is scaled by alpha / r", 32, check=at_least(1))
    dropout: float = key("of what goes into them", 0.0, check=within(0, 0.9))
    targets: list[str] = key("names of the layers, like q_proj (gpt2: c_attn); empty: every linear layer", [])
    embeddings: bool = key(
        "train the embedding and output matrices too: tokens that the base has never seen, ChatML's say, need it", False
    )


@dataclass
class ModelKeys:
    name: str = key(
        "architecture; gpt2: tied embeddings and learned positions; llama: RoPE, RMSNorm, SwiGLU, grouped-query "
        "attention; hf: the causal language model that pretrained names",
        check=one_of(*_SHAPE),
    )
    n_layer: int | None = key("gpt2, llama: transformer blocks", None, check=at_least(1))
    n_head: int | None = key("gpt2, llama: attention heads", None, check=at_least(1))
    n_embd: int | None = key("gpt2, llama: hidden width", None, check=at_least(1))
    n_ffn: int | None = key("llama: width of the feed-forward layer (gpt2: 4 x n_embd)", None, check=at_least(1))
    n_kv_head: int | None = key("llama: heads of keys and values; null: n_head", None, check=at_least(1))
    rope_theta: float | None = key("llama: base of the rotary positions; null: 10,000, Llama 2's", None, check=positive)
    rms_eps: float | None = key("llama: term in RMSNorm's denominator; null: 1e-5, Llama 2's", None, check=positive)
    dropout: float = key("gpt2: of embeddings, attention and residuals", 0.0, check=within(0, 0.9))
    pretrained: str | None = key(
        "llama, hf: what is trained on, by folder or hub id of a Hugging Face model, or a checkpoint of a train run "
        "(<run>/checkpoints/tok<N>), of which only the weights are taken; a llama's shape must be that of the keys "
        "above; null: random weights",
        None,
    )
    revision: str | None = key("commit, tag or branch of a hub id; null: its main branch", None)
    trust_remote_code: bool = key("run Python code that comes with pretrained", False)
    pad_vocab_to_multiple_of: int = key(
        "embedding rows are the tokenizer's tokens rounded up to this; 64 keeps tensor cores busy",
        1,
        check=at_least(1),
    )
    attention: str = key(
        "auto: flash-attn when it is installed and a GPU is there, otherwise SDPA",
        "auto",
        check=one_of("auto", "sdpa", "flash_attention_2", "eager"),
    )
    mask_documents: bool = key(
        "keep attention inside a document of a packed row, and count positions from its first token", False
    )
    loss: str = key(
        "fused: cross-entropy in chunks of tokens, logits of a whole batch are never held; plain: the model's own",
        "fused",
        check=one_of("fused", "plain"),
    )
    lora: LoraKeys | None = optional_section("train low-rank adapters instead of the weights; null: the weights")
    compile: bool = key("compile each transformer block with torch.compile", False)

    def problems(self) -> Iterator[tuple[str, str]]:
        needed, optional = _SHAPE[self.name]
        for name in needed:
            if getattr(self, name) is None:
                yield name, f"missing; model.name {self.name} needs it"
        for name in sorted({name for keys in _SHAPE.values() for group in keys for name in group}):
            if name not in (*needed, *optional) and getattr(self, name):
                yield name, f"{getattr(self, name)}: model.name {self.name} has no such setting; leave it out"
        if self.n_embd and self.n_head and self.n_embd % self.n_head:
            yield "n_embd", f"{self.n_embd} is not a multiple of n_head {self.n_head}"
        if self.n_head and self.n_kv_head and self.n_head % self.n_kv_head:
            yield "n_kv_head", f"{self.n_kv_head} does not divide n_head {self.n_head}"
        if self.pretrained is None and (self.revision or self.trust_remote_code):
            yield "pretrained", "revision and trust_remote_code are settings of pretrained, which is not given"
        if self.lora and self.pretrained is None:
            yield "lora", "adapts weights that are frozen; give the pretrained ones"
        if self.mask_documents and self.loss != "fused":
            yield "mask_documents", "is part of this package's forward pass; it needs loss: fused"
