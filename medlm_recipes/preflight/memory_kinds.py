"""What a GPU's memory is divided into."""

KINDS = (
    "parameters",
    "gradients",
    "optimizer",
    "activations",
    "logits and loss",
    "gathered parameters",
    "temporary",
)
"""parameters: the rank's own, with buffers. gradients: its own, and those of a block on their way through the
reduction. activations: what the backward pass needs, and what a block's forward pass is working on. logits and
loss: everything between the last block and its gradient. gathered parameters: a block's whole, and the buffers
that they are gathered in. temporary: gradients of activations, what the optimizer works on, workspaces."""
