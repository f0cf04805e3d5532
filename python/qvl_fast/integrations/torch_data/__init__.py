"""Loading images with PyTorch's data loaders; needs torch.

The parts fit together like this::

    transform = RowTransform(processor)
    lengths = text_lengths + image_lengths(paths, processor)
    loader = DataLoader(
        dataset,  # which calls transform
        batch_sampler=TokenBatchSampler(lengths, capacity=16384),
        collate_fn=Collate(),
        num_workers=8,
    )

All of it pickles, so workers may be forked or spawned. Under torchdata's ``StatefulDataLoader`` a
run resumes at exactly the batch where it was stopped.
"""

from qvl_fast.integrations.torch_data.batching import TokenBatchSampler
from qvl_fast.integrations.torch_data.collate import Collate
from qvl_fast.integrations.torch_data.transform import RowTransform, image_lengths

__all__ = ["Collate", "RowTransform", "TokenBatchSampler", "image_lengths"]
