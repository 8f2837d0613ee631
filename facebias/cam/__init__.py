"""Class activation maps: where a network looks.

`methods` weighs activations by gradients, `layers` finds the layer to look at, `state` leaves a
model as found, `explain` joins the three into maps of a batch, `overlay` lays maps over faces and
`sheet` arranges them on one page. Importing this package imports none of them, nor torch.
"""
