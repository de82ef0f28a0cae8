"""memtrain: train nonlinear recurrent networks without backpropagation through time.

Supervised Memory Training (SMT) and DAgger Memory Training (DMT) of Kumar & Isola, "Pretraining Recurrent
Networks without Recurrence" (arXiv 2606.06479), beside BPTT, on PyTorch Lightning.
"""
