"""Setting: on what an open model runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """On what the model runs; with the plan, part of the key of every part.

    One plan gives the same bytes on one kind of device with as many threads. With another number of
    threads, or other instructions of the CPU, masks and draws are the same and sums are taken in
    float64, but logits may differ in their last bits, as between devices: figures then agree within
    a tolerance.
    """

    device: str
    dtype: str
    torch: str  # its version
    speed: str  # instructions and threads of the CPU, on which tuning depends

    def suits(self, other: "Setting") -> bool:
        """Whether units of one audit may be measured on both: whatever the threads."""
        return (self.device, self.dtype, self.torch) == (other.device, other.dtype, other.torch)
