//! Evaluation: a dataset category, a model, and the numbers.
