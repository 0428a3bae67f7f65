"""Any network over any batches: what it puts out with some of its weights changed, and to first order.

Nothing here changes a network: other weights are put in its place for a call
(`torch.func.functional_call`), and training mode, hooks and buffers are as before afterwards.
"""
