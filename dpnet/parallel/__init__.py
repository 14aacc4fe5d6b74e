"""Data parallelism: one step, taken by all ranks together.

Every rank sees the same parameters. The samples of a step are shared out; each rank takes its share forward and back
through the network; the gradients of all shares become one; and each rank updates the slice of the parameters that it
owns. Two ranks on a node, step 7, a batch of 64 samples:

            rank 0                                           rank 1
       ids  plan: the 64 samples of step 7                   the same 64, from the same seed
         x  feed.gather: samples 0..31 of them, shard 0      samples 32..63, shard 1
    logits  network.forward: z = x W + b, a = f(z), ...      with the same W and b
      loss  loss: d loss / d logits = (p - y) / 64           / 64 here as well: the size of the whole batch
        dz  network.propagate: from layer to layer           back through the same layers
            reducer.add: the gradient of 32 samples          that of the other 32
            ─────────────── reducer.reduce: both are here, so the gradient is complete ───────────────
      grad  the sum over all 64 samples, in slice 0          in slice 1
    params  update.apply: the optimizer, on slice 0          on slice 1
            ─────────────── state.commit: both have written, so the parameters are new ───────────────

They meet twice. Nothing is averaged: the division by 64 happened in the loss, and what follows are sums. Where ranks
share no memory they meet in messages, and the picture is the same.

Read `allreduce` first: the textbook way to the sum, on one page. Then `step`, which is this picture in code; then
`joint`, one product over the samples of all ranks; and `shards` with `tree`, sums that have the same bits on any number
of ranks. `between_nodes` is what several machines add. `local_sgd` is another way to train, for links that are too slow
for a gradient in every step.

These words mean one thing everywhere in dpnet:

    shard   samples that one rank computes in one piece. A batch is cut into shards, most often one for each rank
    slice   the elements of every flat vector that a rank owns: it completes their gradient and updates them
    tile    elements of a vector that lie in the cache at the same time
    run     adjacent elements with the same weight decay
    span    adjacent shards whose sum is one node of the summation tree
    node    a machine. Its ranks share memory
    rank    a process, one of `world_size`
    worker  of local SGD: a training of its own between two meetings. A rank has one or several
"""
