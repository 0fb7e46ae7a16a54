"""Layer 2: the differentiable primitives, each with its vector-Jacobian products beside it.

Notation in the docstrings: z is the output, ḡ = ∂L/∂z the incoming gradient, x̄ = ∂L/∂x what the
VJP returns, · the product entry by entry.
"""
