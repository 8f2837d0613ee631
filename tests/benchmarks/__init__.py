"""Speed, as ratios against a peer or a plain loop in the same run: `make bench`.

Absolute times say more about the machine than about the code, so none is tested.
"""
