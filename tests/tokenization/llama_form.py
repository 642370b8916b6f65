"""A small tokenizer in Llama 2's form: BPE over whole texts with bytes to fall back on, spaces as ▁."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaTokenizerFast


def save_llama_form(folder: Path, texts: list[str], size: int = 650, *, legacy: bool = True) -> Path:
    """Save it to `folder`, its pieces learnt from `texts`: at most `size`, 259 of which are bytes and controls.

    legacy: as Llama 2's tokenizer.json, where the normaliser puts a ▁ before every stretch of text, those
    after an added token too. Otherwise as converted since: only before the first.
    """
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Metaspace()
    learnt.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size - 259, show_progress=False))
    model = json.loads(learnt.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += sorted(model["vocab"], key=model["vocab"].__getitem__)
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: number for number, piece in enumerate(pieces)},
            merges=[tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    LlamaTokenizerFast(tokenizer_object=tokenizer, legacy=legacy).save_pretrained(folder)
    return folder
