"""Class activation maps: where a network looks, and what that is worth.

Maps: `methods` weighs activations by gradients, `perturbation` and `attribution` by what changed
inputs do, `targets` says for which class, `layers` finds the layer to look at, `state` leaves a
model as found, `explain` joins them into maps of a batch, `overlay` lays maps over faces and
`sheet` arranges them on one page. Measured: `regions` of a face from `landmarks`, a `template` or
masks, and `attention`, a map's share in each. Trusted or not: `faithfulness`, `sanity`,
`similarity` and `between` variants, with `averages`. Importing this package imports none of them,
nor torch.
"""
